//! The shipped packs: each form of secret is found under its rule's name, and what only looks like one stays.

use super::*;
use crate::redaction::rules::{BUILTIN_PACKS, Find, builtin_pack};

/// `§` stands for as many letters and digits as the rule needs, so that no file holds anything like a real secret.
const EXAMPLES: &[(&str, &str, usize)] = &[
    ("private-key", "-----BEGIN RSA PRIVATE KEY-----\n§\n-----END RSA PRIVATE KEY-----", 64),
    ("private-key", "-----BEGIN OPENSSH PRIVATE KEY-----\\n§\\n§", 64),
    ("private-key", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n§", 70),
    ("jwt", "eyJ§.eyJ§.§", 30),
    ("aws-access-key-id", "AKIA§", 0),
    ("gcp-api-key", "AIza§", 35),
    ("azure-storage-key", "AccountKey=§==;", 86),
    ("github-token", "ghp_§", 36),
    ("github-pat", "github_pat_§", 82),
    ("gitlab-token", "glpat-§", 20),
    ("npm-token", "npm_§", 36),
    ("pypi-token", "pypi-AgEIcHlwaS§", 100),
    ("docker-token", "dckr_pat_§", 27),
    ("anthropic-key", "sk-ant-api03-§", 93),
    ("openai-key", "sk-proj-§", 60),
    ("llm-key", "sk-§", 48),
    ("huggingface-token", "hf_§", 34),
    ("slack-token", "xoxb-§", 40),
    ("slack-webhook", "https://hooks.slack.com/services/§", 40),
    ("stripe-key", "sk_live_§", 24),
    ("sendgrid-key", "SG.§.§", 43),
    ("linear-key", "lin_api_§", 40),
    ("notion-token", "ntn_§", 46),
    ("figma-token", "figd_§", 40),
    ("vault-token", "hvs.§", 90),
    ("terraform-token", "abcdefghij1234.atlasv1.§", 60),
    ("atlassian-token", "ATATT3§", 180),
    ("authorization", "Authorization: Bearer §", 32),
    ("authorization", "curl -H 'Authorization: Basic §'", 24),
    ("curl-user", "curl -s -u admin:§ https://example.com", 12),
    ("url-password", "postgres://app:§@db.example.com:5432/app", 16),
    ("sql-password", "ALTER USER app IDENTIFIED BY '§'", 12),
    ("sql-password", "ALTER USER app IDENTIFIED WITH caching_sha2_password BY '§'", 12),
    ("private-key-tail", "§\n§\n-----END RSA PRIVATE KEY-----", 64),
    ("private-key-base64", "LS0tLS1CRUdJTiBQUklWQVRF§", 80),
    ("aws-secret-key-beside-id", "ASIAIOSFODNN7EXAMPLE,§", 40),
    ("vendor-token", "dbtu_§", 40),
    ("github-token", "a\\nghp_§", 36),
    ("github-token", "x%3Dghp_§", 36),
    ("github-token", "\u{1b}[32mghp_§", 36),
    ("cli-password", "mysql -u root -p§ -h db", 12),
    ("cli-password", "sshpass -p '§' ssh host", 12),
    ("cli-password", "docker login -u me -p § registry", 12),
    ("curl-user", "curl -X POST \\\n  -u admin:§ https://example.com", 12),
    ("curl-cookie", "curl -b 'sid=§' https://example.com", 24),
    ("url-user-token", "https://§@github.com/o/r.git", 30),
    ("cli-option-password", "ldapsearch -x -D cn=admin -w § -b dc=x", 12),
    ("cli-option-password", "7z a -p§ x.7z dir", 12),
    ("keystore-password", "keytool -list -storepass §", 12),
    ("cli-user-password", "rabbitmqctl add_user bob §", 12),
    ("cli-user-password", "rabbitmqctl add_user bob x@§", 12),
    ("sqlplus-password", "sqlplus scott/§@orcl", 12),
    ("remote-desktop-password", "xfreerdp /u:bob /p:§ /v:host", 12),
    ("snmp-password", "snmpwalk -v3 -u a -A § host", 12),
    ("piped-password", "echo 'root:§' | sudo chpasswd", 12),
    ("piped-password", "echo \"§\" | docker login -u bob --password-stdin", 12),
    ("here-password", "passwd --stdin bob <<< '§'", 12),
    ("smtp-auth", "AUTH PLAIN §", 20),
    ("imap-login", "a1 LOGIN bob@example.com §", 12),
    ("stored-secret", "consul kv put db/password §", 12),
    ("call-credentials", "requests.get(url, auth=('bob', '§'))", 12),
    ("said-password", "my password is §!", 12),
    ("said-password", "please set the password to §", 12),
    ("said-to-be", "use § as the password", 12),
    ("password-elsewhere", "contraseña: §", 12),
    ("password-elsewhere", "密码是§", 12),
    ("said-credentials", "creds are bob / §", 12),
    ("vendor-token", "waka_§", 36),
];

fn example(pattern: &str, length: usize) -> (String, String) {
    let upper = pattern.starts_with("AKIA");
    let fill: String = match upper {
        true => "IOSFODNN7EXAMPLE".to_owned(),
        false => "q7Rt2wZx9Kb4Lm0Pv5Ny8".chars().cycle().take(length).collect(),
    };
    (pattern.replace('§', &fill), fill)
}

fn explain(text: &str) -> Explained {
    redactor().explain(text, &Subject::default(), "")
}

#[test]
fn each_form_of_secret_is_found_and_named() {
    for (rule, pattern, length) in EXAMPLES {
        let (text, secret) = example(pattern, *length);
        for text in [text.clone(), format!("é {text} é"), format!("x=\"{text}\"\n")] {
            let explained = explain(&text);
            assert!(explained.hits.iter().any(|hit| hit.rule == *rule), "{rule}: {text}: {explained:?}");
            assert!(!explained.text.contains(&secret), "{rule}: {explained:?}");
        }
    }
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    for text in [
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "9ffbc996-316e-5f2d-a628-342a8493e797 req_011CwWER3JgvWv6E2CQ6znrJ toolu_015SL6k5pUbCN9FcZfrFjDCy",
        "the bearer of bad news, a basic misunderstanding",
        "ask-the-user task-list-with-many-words risk-of-something-very-long",
        "https://example.com:8080/path@2x.png http://localhost:4318",
        "postgres://app:${DB_PASSWORD}@db/app https://user:<password>@host",
        "https://registry.example.com/@scope/package git@github.com:owner/repository.git",
        "login -p 8080:80 mysql -P3306 -pthread mysql --protocol=tcp curl -b cookies.txt -u user: https://example.com",
        "the password is base64-encoded, the secret is read from /run/Secrets/v2, the password is sent to Vault2.",
        "unzip -p archive.zip file | psql -p 5432 mongo -p 27017; echo $PASSWORD | docker login --password-stdin",
        "login: see docs/Login2.md, the login is done by auth.Login2(user), useradd -p -m bob",
        "sk-learn, sk-estimator-checks, ghp_ alone, AKIA alone",
        "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= integrity",
    ] {
        assert_eq!(explain(text).hits, [], "{text}");
    }
}

#[test]
fn the_shipped_packs_can_be_read_and_compiled() {
    for (name, _) in BUILTIN_PACKS {
        let pack = builtin_pack(name).expect("it is shipped");
        assert_eq!(pack.name, *name);
        for rule in &pack.rules {
            assert!(!rule.description.is_empty(), "{}", rule.id);
            if let Find::Regex(regex) = &rule.find {
                assert!(regex.keywords.iter().all(|k| *k == k.to_ascii_lowercase()), "{}", rule.id);
            }
        }
    }
    let names: Vec<&str> = BUILTIN_PACKS.iter().map(|(name, _)| *name).collect();
    let spec = PolicySetSpec::builtin(&names).expect("they are shipped");
    if let Err(errors) = PolicySet::compile(&spec, LakeKey::new([7; 32])) {
        panic!("{errors:?}");
    }
}
