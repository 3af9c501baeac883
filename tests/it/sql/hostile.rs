//! What means harm.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Client;
use crate::harness::{Server, Setup, wait_for};

/// What would write, reach elsewhere, or take everything, is refused or stopped; the server goes on.
#[test]
fn hostile_statements_are_refused_or_stopped() {
    let server = Setup::default().start();
    let client = Client { simple: true, ..Client::of(&server) };
    for (statement, expected) in [
        ("CREATE TABLE t (a int)", "25006"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "42601"),
        ("COPY events TO '/tmp/x'", "25006"),
        ("COPY (SELECT 1) TO PROGRAM 'id'", "25006"),
        ("INSERT INTO events SELECT * FROM events", "25006"),
        ("DELETE FROM events", "25006"),
        ("DROP TABLE events", "25006"),
        ("SELECT 1; DROP TABLE events", "25006"),
        ("SELECT * INTO t FROM events", "25006"),
        ("SET datafusion.execution.batch_size = 1", "42704"),
        ("SET ROLE postgres", "42704"),
        ("SELECT * FROM read_csv('/etc/passwd')", "42P01"),
        ("SELECT * FROM '/etc/passwd'", "42P01"),
        ("SELECT * FROM \"file:///etc/passwd\"", "42P01"),
        ("SELECT pg_read_file('/etc/passwd')", "42601"),
        ("SELECT repeat('x', 1000000000)", "42601"),
        ("SELECT levenshtein('x', 'y')", "42601"),
        ("SELEKT 1", "42601"),
        (
            "SELECT count(*) FROM generate_series(1, 8192) WHERE 'a' ~ ('(a{1,900}){1,' || (value % 90 + 1)::text || '}')",
            "0A000",
        ),
        ("SELECT 'a' ~ (SELECT user_email FROM events LIMIT 1)", "0A000"),
        ("SELECT 'a' SIMILAR TO (random()::text)", "0A000"),
        ("SELECT regexp_replace('a', user_email, 'b') FROM events", "0A000"),
    ] {
        let answer = client.ask(statement);
        assert_eq!(answer["error"], expected, "{statement}: {answer}");
    }
    let nested = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(client.ask(&nested)["error"].is_string(), "deep nesting");
    let long = format!("SELECT 1 -- {}", "x".repeat(300 << 10));
    assert_eq!(client.ask(&long)["error"], "54000");
    assert_eq!(client.rows("SELECT 1"), [json!([1])]);
}

/// Seconds that a statement may take here, and its client besides.
const PATIENCE: Duration = Duration::from_secs(60);

/// Statements that would take all the time or memory there is end with an error in time, while a client that sends is
/// served as if nothing happened, and the process stays within its memory limit.
#[test]
fn greedy_statements_are_stopped_and_harm_nobody() {
    let server = Setup::default().start();
    let numbers = |last: u64| format!("generate_series(1, {last})");
    let (million, billion) = (numbers(1_000_000), numbers(1_000_000_000));
    let greedy = [
        format!("SELECT a.value, b.value FROM {million} a, {million} b ORDER BY random() DESC LIMIT 1"),
        format!("SELECT count(DISTINCT a.value * b.value + random()) FROM {million} a, {million} b"),
        format!("SELECT array_agg(value) FROM {billion}"),
        format!("SELECT string_agg(value::text || random()::text, ',') FROM {billion}"),
        format!("SELECT a.value FROM {billion} a JOIN {billion} b ON a.value = b.value ORDER BY 1"),
        format!("SELECT sum(value) OVER (ORDER BY value DESC) FROM {billion}"),
        format!(
            "SELECT sum(value) OVER (ORDER BY value ROWS BETWEEN CURRENT ROW AND 900000000 FOLLOWING) FROM {billion}"
        ),
        format!(
            "SELECT max(value) OVER (ORDER BY value RANGE BETWEEN 900000000 PRECEDING AND CURRENT ROW) FROM {billion}"
        ),
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t".to_owned(),
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT a.n + b.n FROM t a CROSS JOIN (VALUES (1), (2)) AS b(n)) \
         SELECT count(*) FROM t"
            .to_owned(),
        format!(
            "SELECT count(*) FROM {billion} WHERE value::text ~ '((a+)+)+$' OR value::text ~ '^(([a-z])+.)+[A-Z]([a-z])+$'"
        ),
        format!("SELECT '{}' ~ '(a*)*{}b'", "a".repeat(5_000), "(a|aa)".repeat(50)),
        "SELECT 'a' ~ '((a{1,1000}){1,1000}){1,1000}'".to_owned(),
        "SELECT generate_series(1, 100000000000)".to_owned(),
        "SELECT array_length(range(0, 100000000000))".to_owned(),
    ];
    let sending = std::sync::atomic::AtomicBool::new(true);
    let slowest = std::thread::scope(|scope| {
        let good = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while sending.load(std::sync::atomic::Ordering::Relaxed) {
                let started = Instant::now();
                assert_eq!(server.post("/v1/logs", "application/json", b"{}").unwrap().status, 200, "ingest goes on");
                slowest = slowest.max(started.elapsed());
            }
            slowest
        });
        let asked: Vec<_> = greedy
            .iter()
            .map(|statement| {
                let client = Client { simple: true, ..Client::of(&server) };
                let started = Instant::now();
                let answers = client.asks(&[json!("SET statement_timeout = '2s'"), json!(statement)]);
                (statement, answers[1].clone(), started.elapsed())
            })
            .collect();
        sending.store(false, std::sync::atomic::Ordering::Relaxed);
        for (statement, answer, took) in asked {
            // What is answered in spite of all was not greedy: there is no backtracking in regular expressions here.
            let stopped = ["57014", "53200", "54000", "42601", "22000"].iter().any(|state| answer["error"] == *state);
            assert!(stopped || answer["rows"] == json!([[false]]), "{statement}: {answer}");
            assert!(took < PATIENCE, "{statement}: {took:?}");
        }
        good.join().unwrap()
    });
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(peak(&server) < 512 << 20, "{} MiB", peak(&server) >> 20);
    assert_eq!(Client::of(&server).rows("SELECT 1"), [json!([1])]);
}

/// Little that becomes much in one step: the step is refused before it takes the memory, and what is small goes on.
#[test]
fn texts_and_lists_that_grow_are_refused_before_they_do() {
    let server = Setup::default().start();
    let client = Client { simple: true, ..Client::of(&server) };
    let long = |bytes: usize| "a".repeat(bytes);
    let rows = "FROM generate_series(1, 1000000)";
    // Twice as long at each of forty steps.
    let laughs = |measure: &str, step: &str, first: &str| {
        let steps: Vec<String> = (1..40).map(|n| format!("t{n} AS (SELECT {step} AS x FROM t{})", n - 1)).collect();
        format!("WITH t0 AS ({first}), {} SELECT {measure}(x) FROM t39", steps.join(", "))
    };
    let many = |each: &str, times: usize| vec![each; times].join(", ");
    let growing = [
        format!("SELECT length(replace('{0}', 'a', '{0}'))", long(60_000)),
        format!("SELECT max(length(replace('{0}' || value::text, 'a', '{0}'))) {rows}", long(9_000)),
        format!("SELECT max(length(regexp_replace('{0}' || value::text, 'a', '{0}', 'g'))) {rows}", long(9_000)),
        laughs("length", "x || x", "SELECT 'ab' AS x"),
        laughs("length", "x || x", &format!("SELECT value::text AS x {rows}")),
        laughs("length", "concat(x, x)", &format!("SELECT value::text AS x {rows}")),
        laughs("length", "encode(x::bytea, 'hex')", &format!("SELECT value::text AS x {rows}")),
        laughs("cardinality", "array_concat(x, x)", &format!("SELECT ARRAY[value] AS x {rows}")),
        laughs("cardinality", "x || x", "SELECT ARRAY[1, 2] AS x"),
        format!("SELECT max(length(concat({}))) {rows}", many("value::text", 10_000)),
        format!("SELECT max(length(concat_ws('{}', {}))) {rows}", long(9_000), many("value::text", 99)),
        format!("SELECT max(length('{}' || value::text)) {rows}", long(200_000)),
        format!("SELECT max(cardinality(ARRAY[{}])) {rows}", many("value::text", 2_000)),
        format!(
            "SELECT {} {rows}",
            (0..2_000).map(|n| format!("(value + {n})::text AS c{n}")).collect::<Vec<_>>().join(", ")
        ),
        format!(
            "SELECT max(length(s)) FROM (SELECT string_agg(value::text, ',') OVER (ORDER BY value) AS s {rows}) AS t"
        ),
        format!(
            "SELECT max(length(s)) FROM (SELECT max('{}' || value::text) OVER (ORDER BY value) AS s {rows}) AS t",
            long(9_000)
        ),
        format!("SELECT max(length(to_char(to_timestamp(value), '{}'))) {rows}", "%c".repeat(30_000)),
    ];
    for statement in growing {
        let answers = client.asks(&[json!("SET statement_timeout = '20s'"), json!(statement)]);
        let error = &answers[1]["error"];
        let refused = ["53200", "0A000", "54023"].iter().any(|state| error == *state);
        let short: String = statement.chars().take(120).collect();
        assert!(refused, "{short}: {}", answers[1]);
        assert!(peak(&server) < 512 << 20, "{short}: {} MiB", peak(&server) >> 20);
    }
    // Copies of what is short, or shared, are no harm.
    let columns: Vec<String> = (0..14).map(|n| format!("'{}' AS c{n}", long(16_000))).collect();
    for (statement, expected) in [
        (format!("SELECT count(c0), count(c13) FROM (SELECT {} {rows}) AS t", columns.join(", ")), json!([1_000_000, 1_000_000])),
        (format!("SELECT max(length(concat('{}', 'b')))", long(20_000)), json!([20_001])),
        (format!("SELECT max(length('{}' || NULL)), max(length(upper(value::text) || '-' || 'x')) {rows}", long(10)), json!([null, 9])),
        (format!("SELECT max(length(replace('xay', 'a', '{}')))", long(5_000)), json!([5_002])),
        ("SELECT max(m) FROM (SELECT max(value::text) OVER (PARTITION BY value % 3) AS m FROM generate_series(1, 9)) AS t".to_owned(), json!(["9"])),
    ] {
        let short: String = statement.chars().take(120).collect();
        assert_eq!(client.rows(&statement), [expected], "{short}");
    }
    assert!(peak(&server) < 512 << 20, "{} MiB", peak(&server) >> 20);
}

/// Statements that hold every thread leave logins, deadlines and cancellation to be heard.
#[test]
fn endless_statements_leave_others_to_be_heard() {
    let server = Setup::default().start();
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000) AS a, generate_series(1, 1000000000) AS b WHERE a.value + b.value < 0";
    std::thread::scope(|scope| {
        let ask = || {
            Client { simple: true, ..Client::of(&server) }
                .asks(&[json!("SET statement_timeout = '20s'"), json!(endless)])
        };
        let asked: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        let started = Instant::now();
        wait_for("a login", Duration::from_secs(20), || {
            (Client::of(&server).ask("SHOW server_version")["rows"] == json!([["16.6"]])).then_some(())
        });
        println!("answered after {:?}", started.elapsed());
        for answers in asked.into_iter().map(|asked| asked.join().unwrap()) {
            assert!(["57014", "53200", "53300"].iter().any(|state| answers[1]["error"] == *state), "{answers}");
        }
        assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    });
}

/// The most memory that the process had at a time, bytes.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// A client that asks for much and reads nothing holds neither memory nor a place for long.
#[test]
fn clients_that_stop_reading_are_let_go() {
    let server = Setup::default().start();
    let mut idle: Vec<TcpStream> = (0..20).map(|_| begin(&server)).collect();
    for client in &mut idle {
        let query =
            b"SELECT value, value::text || 'and so on, and so on, and so on' FROM generate_series(1, 10000000)\0";
        let mut message = vec![b'Q'];
        message.extend((query.len() as u32 + 4).to_be_bytes());
        message.extend(query);
        client.write_all(&message).unwrap();
    }
    let client = Client::of(&server);
    wait_for("a place among those that run", Duration::from_secs(180), || {
        (client.ask("SELECT count(*) FROM events")["rows"] == json!([[0]])).then_some(())
    });
    assert!(peak(&server) < 512 << 20, "{} MiB", peak(&server) >> 20);
}

/// A connection that is logged in, by the protocol's own bytes.
fn begin(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", server.ports.sql)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let parameters = b"user\0anyone\0database\0default\0\0";
    let mut startup = (parameters.len() as u32 + 8).to_be_bytes().to_vec();
    startup.extend(196_608u32.to_be_bytes());
    startup.extend(parameters);
    socket.write_all(&startup).unwrap();
    // `ReadyForQuery` is the last message: Z, length 5, idle.
    let mut read = Vec::new();
    while !read.ends_with(b"Z\0\0\0\x05I") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    socket
}

/// Connections beyond the bound are turned away, those that say nothing are dropped, and the others are served.
#[test]
fn many_connections_do_no_harm() {
    let server = Setup::default().start();
    let connect = || TcpStream::connect(("127.0.0.1", server.ports.sql)).unwrap();
    let mut crowd: Vec<TcpStream> = (0..1000).map(|_| connect()).collect();
    let last = crowd.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let turned_away = last.write_all(&[0; 8]).and_then(|()| last.read(&mut [0; 1]));
    assert!(!matches!(turned_away, Ok(1..)), "nothing is said to them");
    drop(crowd);
    let client = Client::of(&server);
    wait_for("a place", Duration::from_secs(30), || (client.ask("SELECT 1")["rows"] == json!([[1]])).then_some(()));
}
