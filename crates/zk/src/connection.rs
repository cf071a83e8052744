//! From the command line to a client.

use std::{fs, os::unix::ffi::OsStrExt as _};

use anyhow::Context as _;
use zk_client::{Builder, Client};

use crate::{args::Connection, failure::Wrong};

impl Connection {
    /// Connects to the first server that grants a session.
    pub(crate) async fn open(&self) -> anyhow::Result<Client> {
        let mut builder = Client::builder()
            .session_timeout(self.session_timeout)
            .connect_timeout(self.timeout)
            .request_timeout(self.timeout);
        if self.read_only {
            builder = builder.read_only();
        }
        for secret in &self.auth {
            builder = prove(builder, secret.0.as_bytes())?;
        }
        if let Some(path) = &self.auth_file {
            let text = fs::read(path).with_context(|| format!("cannot read {path:?}"))?;
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                builder = prove(builder, line.strip_suffix(b"\r").unwrap_or(line))?;
            }
        }
        Ok(builder.connect(&self.servers()).await?)
    }
}

/// Adds `scheme:proof`. What is wrong is said without repeating it: it is a secret.
fn prove(builder: Builder, identity: &[u8]) -> Result<Builder, Wrong> {
    let wrong = || Wrong("an identity is SCHEME:PROOF, such as digest:user:password".to_owned());
    let colon = identity.iter().position(|byte| *byte == b':').ok_or_else(wrong)?;
    let (scheme, proof) = identity.split_at(colon);
    let scheme = std::str::from_utf8(scheme).ok().filter(|scheme| !scheme.is_empty()).ok_or_else(wrong)?;
    Ok(builder.auth(scheme, proof.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_identity_is_not_repeated() {
        for identity in [&b"hunter2"[..], b":hunter2", b"\xff:hunter2"] {
            let error = prove(Client::builder(), identity).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(prove(Client::builder(), b"digest:user:pass:word").is_ok());
    }
}
