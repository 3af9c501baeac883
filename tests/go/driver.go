// Asks a server through the two Go drivers that Grafana's data source has used: lib/pq and pgx.
// Argument: a connection URL. Prints the answers as JSON, by driver.
package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"time"

	_ "github.com/jackc/pgx/v4/stdlib"
	_ "github.com/lib/pq"
)

func check(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

// scan reads every row of a statement into whatever Go types the driver has for its columns.
func scan(db *sql.DB, statement string, arguments ...interface{}) ([]*sql.ColumnType, [][]interface{}) {
	rows, err := db.Query(statement, arguments...)
	check(err, statement)
	defer rows.Close()
	types, err := rows.ColumnTypes()
	check(err, statement)
	read := [][]interface{}{}
	for rows.Next() {
		values := make([]interface{}, len(types))
		into := make([]interface{}, len(types))
		for i := range values {
			into[i] = &values[i]
		}
		check(rows.Scan(into...), statement)
		read = append(read, values)
	}
	check(rows.Err(), statement)
	return types, read
}

func ask(driver, url string) map[string]interface{} {
	db, err := sql.Open(driver, url)
	check(err, driver)
	defer db.Close()
	check(db.Ping(), driver)
	types, rows := scan(db, `SELECT session_id, cost_usd::float8 AS cost, start_time, prompt_count FROM sessions
		WHERE cost_usd >= $1 AND start_time < $2 AND agent = $3`, 0, time.Now(), "claude-code")
	columns, cost := []string{}, 0.0
	for _, column := range types {
		columns = append(columns, column.DatabaseTypeName())
	}
	for _, row := range rows {
		cost += row[1].(float64)
		_ = row[2].(time.Time)
	}
	read := map[string]int{}
	for _, table := range []string{"sessions", "events", "facts", "live_events", "live_sessions"} {
		_, rows := scan(db, "SELECT * FROM "+table+" LIMIT 50")
		read[table] = len(rows)
	}
	_, refusal := db.Exec("DROP TABLE sessions")
	return map[string]interface{}{"columns": columns, "cost": cost, "read": read, "refusal": fmt.Sprint(refusal)}
}

func main() {
	answers := map[string]interface{}{}
	for _, driver := range []string{"postgres", "pgx"} {
		answers[driver] = ask(driver, os.Args[1])
	}
	check(json.NewEncoder(os.Stdout).Encode(answers), "answers")
}
