//! Ready-made calls with a new token: pure functions.
//!
//! Each call contains the secret once, separate from the surrounding text, so that it can
//! be hidden.

/// One example: the text before the secret and the text after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The key for ids: `curl`.
    pub key: &'static str,
    /// The display name: `Python requests`.
    pub label: &'static str,
    /// The text before the secret.
    pub before: &'static str,
    /// The text after the secret; `None` if the example does not contain the secret.
    pub after: Option<&'static str>,
}

/// The examples. They call the reader's own API, whose address Tessera cannot know. A secret
/// consists of letters, digits and an underscore, so it needs no quoting anywhere.
pub const SNIPPETS: [Snippet; 4] = [
    Snippet {
        key: "curl",
        label: "curl",
        before: r#"curl -X POST "https://api.example.com/api/run" \
  -H "accept: application/json" \
  -H "Authorization: Bearer "#,
        after: Some(
            r#"" \
  -H "Content-Type: application/json" \
  -d '{"river_id": "63b724fc690def001131d242"}'"#,
        ),
    },
    Snippet {
        key: "python",
        label: "Python requests",
        before: r#"import json
import requests

url = "https://api.example.com/api/run"
payload = json.dumps({"river_id": "63b724fc690def001131d242"})
headers = {
    "accept": "application/json",
    "Authorization": "Bearer "#,
        after: Some(
            r#"",
    "Content-Type": "application/json",
}
response = requests.post(url, data=payload, headers=headers)
print(response.status_code, response.text)"#,
        ),
    },
    Snippet {
        key: "javascript",
        label: "JavaScript",
        before: r#"const response = await fetch("https://api.example.com/api/run", {
  method: "POST",
  headers: {
    "accept": "application/json",
    "Authorization": "Bearer "#,
        after: Some(
            r#"",
    "Content-Type": "application/json",
  },
  body: JSON.stringify({ river_id: "63b724fc690def001131d242" }),
});
console.log(response.status, await response.text());"#,
        ),
    },
    Snippet {
        key: "actions",
        label: "GitHub Actions",
        before: r#"# Save the token as the repository secret TESSERA_TOKEN.
- run: |
    curl -X POST "https://api.example.com/api/run" \
      -H "Authorization: Bearer $TESSERA_TOKEN" \
      -H "Content-Type: application/json" \
      -d '{"river_id": "63b724fc690def001131d242"}'
  env:
    TESSERA_TOKEN: ${{ secrets.TESSERA_TOKEN }}"#,
        after: None,
    },
];

/// Returns a file that sets an environment variable to the secret.
pub fn dotenv(secret: &str) -> String {
    format!("TESSERA_TOKEN={secret}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_snippet_sends_the_token_as_a_bearer() {
        for snippet in SNIPPETS {
            match snippet.after {
                Some(_) => assert!(snippet.before.ends_with("Bearer "), "{}", snippet.key),
                None => assert!(snippet.before.contains("Bearer $"), "{}", snippet.key),
            }
        }
    }

    #[test]
    fn snippets_close_the_quotes_around_the_secret() {
        for after in SNIPPETS.iter().filter_map(|snippet| snippet.after) {
            assert!(after.starts_with('"'));
        }
    }

    #[test]
    fn dotenv_is_one_assignment() {
        assert_eq!(dotenv("tsr_abc"), "TESSERA_TOKEN=tsr_abc\n");
    }
}
