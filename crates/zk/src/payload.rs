//! The data for a node, from wherever the command line says.

use std::{
    fs::File,
    io::{self, Read, stdin},
    os::unix::ffi::OsStringExt as _,
};

use anyhow::Context as _;

use crate::{args, failure::Wrong};

/// No server takes more than this by default (`jute.maxbuffer`), and no client should hold more because of a wrong file name.
const MOST: u64 = 64 << 20;

impl args::Payload {
    /// The bytes; `None` if nothing says what the data is, and for null.
    pub(crate) fn read(self) -> anyhow::Result<Option<Vec<u8>>> {
        match (self.data, self.file) {
            (Some(_), Some(_)) => Err(Wrong("data is given twice: as an argument and by --file".to_owned()).into()),
            (Some(data), None) => Ok(Some(data.into_vec())),
            (None, Some(path)) if path.as_os_str() == "-" => {
                Ok(Some(all(stdin().lock()).context("cannot read standard input")?))
            }
            (None, Some(path)) => {
                let read = || all(File::open(&path)?);
                Ok(Some(read().with_context(|| format!("cannot read {path:?}"))?))
            }
            (None, None) => Ok(None),
        }
    }
}

fn all(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 64 MiB is no node's data"));
    }
    Ok(bytes)
}
