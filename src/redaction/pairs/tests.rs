use super::*;

fn hidden(text: &str) -> String {
    let keywords = crate::redaction::compile::automaton(&keywords());
    let mut reader = Reader::new(text);
    let found = keywords.find_overlapping_iter(text).filter_map(|k| reader.read(k.range(), &|_| None, true));
    let mut out = text.to_owned();
    for (span, _) in found.collect::<Vec<_>>().into_iter().rev() {
        out.replace_range(span, "#");
    }
    out
}

#[test]
fn the_value_is_hidden_and_the_name_stays() {
    for (text, expected) in [
        ("password=hunter2x", "password=#"),
        ("FOO_PASSWORD=whiteduke", "FOO_PASSWORD=#"),
        ("export API_KEY='a b1 c'", "export API_KEY='a b1 c'"),
        ("{\"password\": \"open sesame\"}", "{\"password\": \"open sesame\"}"),
        ("{\"password\": \"hunter\"}", "{\"password\": \"#\"}"),
        ("{\\\"client_secret\\\": \\\"abc-def\\\"}", "{\\\"client_secret\\\": \\\"#\\\"}"),
        ("password: hunter\n", "password: #\n"),
        ("  - passwd: p4ss,word", "  - passwd: #,word"),
        ("run --password s3cr3t! now", "run --password # now"),
        ("run --api-key=k3y-value", "run --api-key=#"),
        ("<password>hunter</password>", "<password>#</password>"),
        ("db.secret => 'tiger'", "db.secret => '#'"),
        ("Cookie: sid=1; theme=dark\nnext", "Cookie: #\nnext"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer #"),
        ("var token: string = \"a1b2c3d4e5\"", "var token: string = \"#\""),
        ("?access_token=a1b2c3d4&x=1", "?access_token=#&x=1"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=#"),
        ("pässword=1 passwörd: secret=ünïcödé1", "pässword=1 passwörd: secret=#"),
        ("{\"token\":\"a1b2c3d4e5f6", "{\"token\":\"#"),
        ("Authorization: SSWS 00aB3dE5fG7h", "Authorization: #"),
        ("**password:** q7Rt2wZx9Kb4Lm0P", "**password:** #"),
        ("| api_key | q7Rt2wZx9Kb4Lm0P |", "| api_key | # |"),
        ("API key:\n\n    q7Rt2wZx9Kb4Lm0P\n", "API key:\n\n    #\n"),
        ("my password is: q7Rt2w!", "my password is: #"),
        ("- name: DB_PASSWORD\n  value: \"q7Rt2wZx\"\n", "- name: DB_PASSWORD\n  value: \"#\"\n"),
        ("variable \"db_password\" {\n  default = \"q7Rt2wZx\"\n}", "variable \"db_password\" {\n  default = \"#\"\n}"),
        ("java -Dapi_key=q7Rt2wZx -jar x", "java -Dapi_key=# -jar x"),
        ("run --DB_PASSWORD q7Rt2w! now", "run --DB_PASSWORD # now"),
        ("a\\npwd=q7Rt2wZx", "a\\npwd=#"),
        ("q=password%3Dq7Rt2wZx", "q=password%3D#"),
    ] {
        assert_eq!(hidden(text), expected);
    }
}

#[test]
fn code_prose_and_placeholders_stay() {
    for text in [
        "the password: is required",
        "token: string",
        "password=os.environ[\"X\"]",
        "password = os.getenv('DB_PASSWORD')",
        "password=${VAR} token=$TOKEN secret=<secret>",
        "input_tokens=12 token_count: 5 max_tokens: 4096",
        "connect(password=password, token=self.token)",
        "let token = next_token();",
        "fn auth(token: &str) -> Secret",
        "if (password == null) return",
        "const passwordField = document.querySelector('#password');",
        "PWD=/home/me/project OLDPWD=/tmp",
        "author: someone, authority=high",
        "[\"password\", \"username\"]",
        "The secret is to keep going. Tokens are cheap.",
        "password:\n  minimum: 12\ntoken:\n  OAuth2AuthenticationToken",
        "name: password\ntype: string\nvariable \"token\" { type = string }",
        "the token is Base64UrlEncodedString and | secret | description of it |",
    ] {
        assert_eq!(hidden(text), text);
    }
}
