//! The built-in secrets rules. Earlier rules win ties.

use super::rule::{Check, Rule};

/// Window after a keyword for tokens of ordinary length.
const NEAR: usize = 256;
/// Window after `-----BEGIN`: a 16,384-bit RSA key with room for escapes.
const BLOCK: usize = 32 * 1024;

/// A token with a prefix of its own, which is also its keyword.
const fn token(id: &'static str, keywords: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { id, keywords, pattern, back: 0, ahead: NEAR, check: Check::None }
}

/// A token whose prefix is also a common word's: it must hold letters and digits.
const fn mixed(id: &'static str, keywords: &'static [&'static str], pattern: &'static str) -> Rule {
    Rule { check: Check::Mixed, ..token(id, keywords, pattern) }
}

/// A secret that is known by what stands before it.
const fn context(id: &'static str, keywords: &'static [&'static str], back: usize, pattern: &'static str) -> Rule {
    Rule { back, ..token(id, keywords, pattern) }
}

pub static RULES: &[Rule] = &[
    // Keys and signed tokens.
    Rule {
        id: "private-key",
        keywords: &["--begin", "-- begin"],
        // A block ends at the next row of dashes, or many open blocks would each be read to the last one's end. The
        // second branch is for blocks that are cut off before their end.
        pattern: concat!(
            r"-{4,5} ?BEGIN[ A-Z0-9_]{0,40}PRIVATE KEY[ A-Z]{0,10}-{4,5}",
            r"(?:(?:-{0,2}[^-])*?-{4,5} ?END[ A-Z0-9_]{0,40}PRIVATE KEY[ A-Z]{0,10}-{4,5}",
            r#"|(?:(?:\\+[nrt]|[\s"'+,>#*|])*(?:[A-Z][A-Za-z-]{2,20}: [^\n\\]{0,80}|[A-Za-z0-9+/=]{16,}))*"#,
            r"(?:(?:\\+[nrt]|\s)+[A-Za-z0-9+/=]{1,64}\s*$)?)",
        ),
        back: 4,
        ahead: BLOCK,
        check: Check::None,
    },
    // The end of a block whose beginning was cut off.
    context(
        "private-key",
        &["--end", "-- end"],
        16 * 1024,
        r"(?:[A-Za-z0-9+/=]{16,}(?:\\+[nr]|[\s,>#*|+])+)+-{4,5} ?END[ A-Z0-9_]{0,40}PRIVATE KEY[ A-Z]{0,10}-{4,5}",
    ),
    // `-----BEGIN` and each kind's first letters in base64, as Kubernetes keeps keys.
    token(
        "private-key-base64",
        &["ls0tls1crudjtib"],
        r"LS0tLS1CRUdJTiB(?:QUklWQVRF|SU0EgUFJJ|FQyBQUklW|PUEVOU1NI|FTkNSWVBU|EU0EgUFJJ)[A-Za-z0-9+/]{40,}={0,2}",
    )
    .ahead(BLOCK),
    token("age-secret-key", &["age-secret-key-1"], r"(?i)\bAGE-SECRET-KEY-1[0-9A-Z]{40,}"),
    token("putty-private-key", &["private-lines:"], r"Private-Lines: ?\d+(?:[\s\\nr]*[A-Za-z0-9+/=]{16,})+"),
    Rule {
        ahead: 4096,
        ..token("jwt", &["eyj"], r"\beyJ[A-Za-z0-9_-]{8,}={0,2}\.(?:eyJ|[A-Za-z0-9_-]{2})[A-Za-z0-9_-]{6,}={0,2}\.?(?:[A-Za-z0-9_-]{10,}={0,2})?")
    },
    Rule { ahead: 4096, ..token("jwt-base64", &["zxlk"], r"\bZXlK[A-Za-z0-9+/_-]{60,}={0,2}") },
    // Clouds.
    token("aws-access-key-id", &["akia", "asia", "abia", "acca", "aroa", "aida"], r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b"),
    context(
        "aws-secret-access-key",
        &["secret"],
        24,
        r#"(?i)(?:aws|amz|amazon)?[_.\- ]{0,2}secret[_.\- ]{0,2}(?:access)?[_.\- ]{0,2}key[\\"'\]]{0,4}\s{0,8}(?:[:=>,]|is){1,3}\s{0,8}[\\"']{0,4}(?P<s>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|$)"#,
    ),
    context(
        "aws-secret-access-key",
        &["akia", "asia"],
        0,
        r#"A(?:KIA|SIA)[A-Z0-9]{16}(?:[\s,;:|"']|\\n){1,8}(?P<s>[A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+]|$)"#,
    ),
    context("aws-signature", &["x-amz-signature="], 0, r"(?i)X-Amz-Signature=(?P<s>[a-f0-9]{64})"),
    context("azure-devops-token", &["azdo"], 80, r"\b[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b"),
    token("aws-bedrock-short-key", &["bedrock-api-key-"], r"\bbedrock-api-key-[A-Za-z0-9+/_-]{40,}={0,2}"),
    token("aws-bedrock-key", &["absk"], r"\bABSK[A-Za-z0-9+/]{100,}={0,2}"),
    token("gcp-api-key", &["aiza"], r"\bAIza[A-Za-z0-9_-]{35}"),
    token("gcp-oauth-token", &["ya29."], r"\bya29\.[A-Za-z0-9_-]{20,}"),
    token("gcp-oauth-secret", &["gocspx-"], r"\bGOCSPX-[A-Za-z0-9_-]{24,}"),
    token("google-refresh-token", &["1//0"], r"\b1//0[A-Za-z0-9_-]{30,}"),
    context(
        "azure-storage-key",
        &["accountkey", "sharedaccesskey"],
        0,
        r"(?i)(?:AccountKey|SharedAccessKey)\s{0,4}[=:]\s{0,4}(?P<s>[A-Za-z0-9+/]{40,100}={0,2})",
    ),
    context("azure-sas", &["sig="], 1, r"[?&;]sig=(?P<s>[A-Za-z0-9%+/_-]{30,}={0,2})"),
    context("azure-client-secret", &["q~"], 4, r"\b[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}"),
    token("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"\bdo[opr]_v1_[a-f0-9]{64}"),
    token("alibaba-access-key-id", &["ltai"], r"\bLTAI[A-Za-z0-9]{16,24}\b"),
    token("tencent-secret-id", &["akid"], r"\bAKID[A-Za-z0-9]{32}\b"),
    token("heroku-api-key", &["hrku-"], r"\bHRKU-[A-Za-z0-9_-]{30,}"),
    token("flyio-token", &["fo1_", "fm1", "fm2_"], r"\b(?:fo1_[\w-]{43}|fm1[ar]_[A-Za-z0-9+/]{100,}={0,3}|fm2_[A-Za-z0-9+/]{100,}={0,3})"),
    token("vault-token", &["hvs.", "hvb.", "hvr."], r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}"),
    context("terraform-token", &[".atlasv1."], 20, r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{50,}"),
    token("pulumi-token", &["pul-"], r"\bpul-[a-f0-9]{40}\b"),
    token("databricks-token", &["dapi"], r"\bdapi[a-h0-9]{32}(?:-\d)?"),
    token("doppler-token", &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."], r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{20,}"),
    token("planetscale-token", &["pscale_"], r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{30,}"),
    token("supabase-token", &["sbp_", "sb_secret_"], r"\b(?:sbp_[A-Za-z0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,})"),
    token("nkey-seed", &["sua", "suam", "sxa", "sca", "sna", "soa"], r"\bS[UACONX]A[A-Z2-7]{55}\b"),
    // Code hosts, registries, CI.
    token("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"\bgh[pousr]_[A-Za-z0-9]{30,255}"),
    token("github-pat", &["github_pat_"], r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
    token(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glimt-", "glagent-", "glft-", "glffct-", "gloas-", "glwt-", "gr1348941"],
        r"\b(?:gl(?:pat|dt|rt|ptt|cbt|soat|imt|agent|ft|ffct|oas|wt)-[A-Za-z0-9_.=-]{20,}|GR1348941[A-Za-z0-9_-]{20,})",
    ),
    token("npm-token", &["npm_"], r"\bnpm_[A-Za-z0-9]{36}\b"),
    token("pypi-token", &["pypi-age"], r"\bpypi-AgE[IN][A-Za-z0-9]{6}[A-Za-z0-9_-]{40,}").ahead(1024),
    token("rubygems-token", &["rubygems_"], r"\brubygems_[a-f0-9]{48}\b"),
    token("crates-io-token", &["cio"], r"\bcio[A-Za-z0-9]{32}\b"),
    token("docker-token", &["dckr_pat_", "dckr_oat_"], r"\bdckr_[po]at_[A-Za-z0-9_-]{20,}"),
    context("docker-swarm-token", &["swmtkn-1-", "swmkey-1-"], 0, r"\bSWM(?:TKN|KEY)-1-[A-Za-z0-9+/-]{40,}"),
    token("nuget-key", &["oy2"], r"\boy2[a-z0-9]{43}\b"),
    token("clojars-token", &["clojars_"], r"\bCLOJARS_[a-zA-Z0-9]{60}\b"),
    token("artifactory-token", &["akcp", "cmvmd"], r"\b(?:AKCp[A-Za-z0-9]{69}|cmVmd[A-Za-z0-9]{59})\b"),
    token("buildkite-token", &["bkua_", "bkct_"], r"\b(?:bkua_[a-f0-9]{40}|bkct_[A-Za-z0-9_-]{30,})\b"),
    token("circleci-token", &["ccipat_", "ccipprj_"], r"\bCCIP(?:AT|PRJ)_[A-Za-z0-9]{22}_[A-Fa-f0-9]{40}"),
    token("sourcegraph-token", &["sgp_"], r"\bsgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}"),
    token("sonar-token", &["squ_", "sqp_", "sqa_"], r"\bsq[upa]_[a-f0-9]{40}\b"),
    token("snyk-token", &["snyk_"], r"\bsnyk_(?:uat|sat)\.[A-Za-z0-9_.-]{30,}"),
    // Models.
    token("anthropic-key", &["sk-ant-"], r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    token("openrouter-key", &["sk-or-"], r"\bsk-or-v1-[a-f0-9]{40,}"),
    token("openai-key", &["sk-proj-", "sk-svcacct-", "sk-admin-", "t3blbkfj"], r"\bsk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9_-]{16,}T3BlbkFJ[A-Za-z0-9_-]{16,})").back(180),
    mixed("llm-key", &["sk-"], r"\bsk-(?:[a-z0-9]{2,10}-)?[A-Za-z0-9]{20,}"),
    token("huggingface-token", &["hf_", "api_org_"], r"\b(?:hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z0-9]{34})\b"),
    token("groq-key", &["gsk_"], r"\bgsk_[A-Za-z0-9]{40,}"),
    token("xai-key", &["xai-"], r"\bxai-[A-Za-z0-9]{70,}"),
    token("replicate-token", &["r8_"], r"\br8_[A-Za-z0-9]{37,}"),
    token("perplexity-key", &["pplx-"], r"\bpplx-[A-Za-z0-9]{40,}"),
    token("langsmith-key", &["lsv2_"], r"\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    mixed("fireworks-key", &["fw_"], r"\bfw_[A-Za-z0-9]{22,}\b"),
    token("langfuse-key", &["sk-lf-"], r"\bsk-lf-[a-f0-9]{8}(?:-[a-f0-9]{4}){3}-[a-f0-9]{12}"),
    mixed("cerebras-key", &["csk-"], r"\bcsk-[a-z0-9]{40,}"),
    mixed("pinecone-key", &["pcsk_"], r"\bpcsk_[A-Za-z0-9_]{40,}"),
    mixed("together-key", &["tgp_v1_"], r"\btgp_v1_[A-Za-z0-9_-]{30,}"),
    mixed("tavily-key", &["tvly-"], r"\btvly-(?:dev-|prod-)?[A-Za-z0-9]{20,}"),
    mixed("elevenlabs-key", &["sk_"], r"\bsk_[a-f0-9]{48}\b"),
    mixed("firecrawl-key", &["fc-"], r"\bfc-[a-f0-9]{32}\b"),
    mixed("voyage-key", &["pa-"], r"\bpa-[A-Za-z0-9_-]{43}\b"),
    mixed("nvidia-key", &["nvapi-"], r"\bnvapi-[A-Za-z0-9_-]{60,}"),
    // Chat and mail.
    token("slack-token", &["xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", "xoxe-", "xoxe.", "xoxc-", "xoxd-", "xapp-", "xwfp-"], r"\b(?:xox[abcdeprs]-|xoxe\.xox[bp]-|xapp-|xwfp-)[A-Za-z0-9%+/-]{10,}"),
    context("slack-webhook", &["hooks.slack.com/"], 0, r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[A-Za-z0-9_/+-]{20,})"),
    context("discord-webhook", &["/api/webhooks/"], 0, r"/api/webhooks/\d{15,}/(?P<s>[A-Za-z0-9_-]{50,})"),
    context("teams-webhook", &["webhook.office.com"], 0, r"webhook\.office\.com/webhookb?2?/(?P<s>[A-Za-z0-9@/_-]{60,})"),
    mixed("discord-token", &["discord", "bot_token", "bot token", "bottoken", "client.login", "client.run", "bot.run"], r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}\b").back(1),
    context("telegram-token", &[":aa"], 12, r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}"),
    token("sendgrid-key", &["sg."], r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{30,}"),
    token("mailgun-key", &["key-"], r"\bkey-[a-f0-9]{32}\b"),
    token("mailchimp-key", &["-us"], r"\b[a-f0-9]{32}-us\d{1,2}\b").back(32),
    token("brevo-key", &["xkeysib-", "xsmtpsib-"], r"\bx(?:keysib|smtpsib)-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    token(
        "twilio-key",
        &["sk0", "sk1", "sk2", "sk3", "sk4", "sk5", "sk6", "sk7", "sk8", "sk9", "ska", "skb", "skc", "skd", "ske", "skf"], r"\bSK[0-9a-f]{32}\b"),
    token("resend-key", &["re_"], r"\bre_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}\b"),
    // Payment and shops.
    token("stripe-key", &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_", "whsec_"], r"\b(?:[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{24,})"),
    token("square-token", &["sq0", "eaaa"], r"\b(?:sq0[a-z]{3}-[A-Za-z0-9_-]{22,}|EAAA[A-Za-z0-9_+=-]{56,})"),
    token("shopify-token", &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_"], r"\bshp(?:at|ca|pa|ss|tka)_[a-fA-F0-9]{32}\b"),
    token("flutterwave-key", &["flwseck", "flwpubk"], r"\bFLW(?:SECK|PUBK)(?:_TEST)?-[A-Za-z0-9]{12,}(?:-X)?"),
    context("paypal-token", &["access_token$"], 0, r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    token("easypost-key", &["ezak", "eztk"], r"\bEZ[AT]K[A-Za-z0-9]{54}"),
    token("facebook-token", &["eaa"], r"\bEAA[A-Z][A-Za-z0-9]{80,}"),
    // Work tools and monitoring.
    token("linear-key", &["lin_api_", "lin_oauth_"], r"\blin_(?:api|oauth)_[A-Za-z0-9]{40,}"),
    mixed("notion-token", &["ntn_", "secret_"], r"\b(?:ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43})\b"),
    token("figma-token", &["figd_"], r"\bfigd_[A-Za-z0-9_-]{30,}"),
    token("grafana-token", &["glsa_", "glc_"], r"\b(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,3})"),
    token("atlassian-token", &["atatt3", "atctt3", "atbb"], r"\b(?:AT[AC]TT3[A-Za-z0-9_=-]{50,}|ATBB[A-Za-z0-9]{20,36})"),
    token("airtable-token", &["pat"], r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    token("postman-key", &["pmak-"], r"\bPMAK-[a-fA-F0-9]{24}-[a-fA-F0-9]{34}"),
    token("sentry-token", &["sntrys_", "sntryu_"], r"\bsntry[su]_[A-Za-z0-9+/=_-]{40,}"),
    token("newrelic-key", &["nrak-", "nraa-", "nrii-", "nrjs-", "nrra-"], r"\bNR(?:AK|AA|II|JS|RA)-[A-Za-z0-9_-]{19,}"),
    token("dynatrace-token", &["dt0"], r"\bdt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b"),
    token("posthog-key", &["phx_", "phc_"], r"\bph[xc]_[A-Za-z0-9_-]{40,}"),
    token("cloudflare-origin-key", &["v1.0-"], r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    token("hubspot-token", &["pat-na", "pat-eu"], r"\bpat-(?:na|eu)\d-[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}"),
    token("tailscale-key", &["tskey-"], r"\btskey-[a-z]+-[A-Za-z0-9-]{12,}"),
    token("onepassword-token", &["ops_eyj", "a3-"], r"\b(?:ops_eyJ[A-Za-z0-9+/=_-]{100,}|A3-[A-Z0-9]{6}-[A-Z0-9-]{26,34})").ahead(2048),
    token("salesforce-token", &["00d"], r"\b00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{80,}"),
    // Tokens of a prefix and at least twenty letters and digits.
    mixed(
        "vendor-token",
        &[
            "aqvn", "avns_", "cfpat-", "cfut_", "dbtu_", "ddp_", "duffel_", "fio-u-", "hcaik_", "ico-", "mdb_sa_sk_",
            "napi_", "nfp_", "pnu_", "rdme_", "rnd_", "sha256~", "shippo_", "sl.b", "sl.u.", "tfp_", "vcp_",
        ],
        concat!(
            r"\b(?:AQVN|AVNS_|CFPAT-|cfut_|dbtu_|ddp_|duffel_(?:live|test)_|fio-u-|hcaik_|ico-|mdb_sa_sk_|napi_|nfp_",
            r"|pnu_|rdme_|rnd_|sha256~|shippo_(?:live|test)_|sl\.(?:B|u\.)|tfp_|vcp_)[A-Za-z0-9_-]{18,}",
        ),
    ),
    // Headers, command lines, URLs.
    context(
        "authorization",
        &["bearer", "basic"],
        0,
        r#"\b(?i:bearer|basic)(?:\s{1,4}|[:=]\s{0,2})[\\"']{0,4}(?P<s>[A-Za-z0-9_.~+/-]{12,}={0,2})"#,
    )
    .checked(Check::Announced),
    context(
        "curl-user",
        &["curl"],
        0,
        r#"\bcurl\b(?:[^\n|;\\]|\\\n|\\){0,300}?\s(?:-u|--user|--proxy-user)[ =]?[\\"']{0,4}[^\s:"'\\]{1,100}:(?P<s>[^\s"'\\]{3,100})"#,
    )
    .checked(Check::NoTemplate),
    context(
        "curl-user",
        &["curl"],
        0,
        r#"\bcurl\b(?:[^\n|;\\]|\\\n|\\){0,300}?\s(?:-u|--user)[ =]?[\\"']{0,4}(?P<s>[A-Za-z0-9_.-]{16,200}):[\s"'\\]"#,
    )
    .checked(Check::Mixed),
    context("curl-cookie", &["curl"], 0, r#"\bcurl\b(?:[^\n|;\\]|\\\n|\\){0,300}?\s(?:-b|--cookie)[ =]?[\\"']{0,4}(?P<s>[^\s"'\\=]{1,60}=[^"'\\\n]{8,4000})"#)
        .checked(Check::NoTemplate),
    context(
        "cli-password",
        &["sshpass ", "mysql", "mariadb", "login ", "redis-cli ", "htpasswd ", "smbclient ", "convertto-securestring "],
        0,
        concat!(
            r#"(?:sshpass\s+-p\s*|(?:mysql|mariadb)[a-z-]{0,10}\s(?:[^\n|;]{0,120}?\s)?-p|login\s(?:[^\n|;]{0,120}?\s)?-p\s+"#,
            r#"|login\s+[^\s]{1,64}\s+password\s+|redis-cli\s(?:[^\n|;]{0,120}?\s)?-a\s+|smbclient\s[^\n|;]{0,120}?-U\s*[^\s%]{1,64}%"#,
            r#"|htpasswd\s+-[a-z]{0,4}b[a-z]{0,4}\s+\S{1,100}\s+\S{1,64}\s+|(?i:convertto-securestring\s+(?:-string\s+)?))"#,
            r#"[\\"']{0,4}(?P<s>[^\s"'\\-][^\s"'\\]{3,128})"#,
        ),
    )
    .checked(Check::Mixed),
    context("url-user-token", &["://"], 0, r"://(?P<s>[A-Za-z0-9_-]{20,256})@[A-Za-z0-9.-]{1,100}").checked(Check::Mixed),
    context("pgpass", &[":5432:"], 0, r#":5432:[^:\s]{1,64}:[^:\s]{1,64}:(?P<s>[^\s:"'\\]{4,128})"#).checked(Check::NoTemplate),
    context("sql-password", &["identified by", "identified with"], 0, r#"(?i)identified (?:with \w{1,40} )?by\s{1,4}(?:password\s{1,4})?[\\"']{0,4}(?P<s>[^\s"'\\;)]{4,128})"#)
        .checked(Check::NoTemplate),
    context("url-password", &["://"], 0, r#"://[^\s:/?#@"'<>\\]{0,128}:(?P<s>[^\s/?#@"'<>\\]{3,256})@"#).checked(Check::NoTemplate),
    // A raw `@` or `#` in a password is not allowed in a URL, but people write it.
    context("url-password", &["://"], 0, r#"://[^\s:/?#@"'<>\\]{1,128}:(?P<s>[^\s/"'<>\\]{3,128})@[A-Za-z0-9.-]{1,100}(?::\d{2,5})?(?:[/\s"']|$)"#)
        .checked(Check::NoTemplate),
];

impl Rule {
    const fn back(self, back: usize) -> Rule {
        Rule { back, ..self }
    }

    const fn ahead(self, ahead: usize) -> Rule {
        Rule { ahead, ..self }
    }

    const fn checked(self, check: Check) -> Rule {
        Rule { check, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redaction::engine::{Engine, Scope};

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
        ("private-key", "§\n§\n-----END RSA PRIVATE KEY-----", 64),
        ("private-key-base64", "LS0tLS1CRUdJTiBQUklWQVRF§", 80),
        ("aws-secret-access-key", "ASIAIOSFODNN7EXAMPLE,§", 40),
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
    ];

    fn example(pattern: &str, length: usize) -> (String, String) {
        let upper = pattern.starts_with("AKIA");
        let fill: String = match upper {
            true => "IOSFODNN7EXAMPLE".to_owned(),
            false => "q7Rt2wZx9Kb4Lm0Pv5Ny8".chars().cycle().take(length).collect(),
        };
        (pattern.replace('§', &fill), fill)
    }

    #[test]
    fn each_form_of_secret_is_found_and_named() {
        let engine = Engine::new(RULES).expect("the rules compile");
        for (rule, pattern, length) in EXAMPLES {
            let (text, secret) = example(pattern, *length);
            for text in [text.clone(), format!("é {text} é"), format!("x=\"{text}\"\n")] {
                let hits = engine.scan(&text, Scope::All);
                assert!(hits.iter().any(|hit| hit.rule == *rule), "{rule}: {text}: {hits:?}");
                let mut kept = text.clone();
                hits.iter().rev().for_each(|hit| kept.replace_range(hit.span.clone(), ""));
                assert!(!kept.contains(&secret), "{rule}: {kept}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_secret_stays() {
        let engine = Engine::new(RULES).expect("the rules compile");
        for text in [
            "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
            "9ffbc996-316e-5f2d-a628-342a8493e797 req_011CwWER3JgvWv6E2CQ6znrJ toolu_015SL6k5pUbCN9FcZfrFjDCy",
            "the bearer of bad news, a basic misunderstanding",
            "ask-the-user task-list-with-many-words risk-of-something-very-long",
            "https://example.com:8080/path@2x.png http://localhost:4318",
            "postgres://app:${DB_PASSWORD}@db/app https://user:<password>@host",
            "https://registry.example.com/@scope/package git@github.com:owner/repository.git",
            "login -p 8080:80 mysql -P3306 -pthread mysql --protocol=tcp curl -b cookies.txt -u user: https://example.com",
            "sk-learn, sk-estimator-checks, ghp_ alone, AKIA alone",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= integrity",
        ] {
            assert_eq!(engine.scan(text, Scope::All), [], "{text}");
        }
    }

    #[test]
    fn keywords_are_lower_case_and_ids_fit_a_tag() {
        for rule in RULES {
            assert!(rule.keywords.iter().all(|k| k.len() > 1 && *k == k.to_ascii_lowercase()), "{}", rule.id);
            assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", rule.id);
        }
    }
}
