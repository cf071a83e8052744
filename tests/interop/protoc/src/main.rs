//! As much of `protoc` as prost's build scripts ask for: `-I DIR… -o FILE [--include_imports] [--include_source_info] PROTO…`.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use protox::Compiler;

fn main() -> Result<()> {
    let mut includes = Vec::new();
    let mut output = None;
    let mut files = Vec::new();
    let (mut imports, mut source_info) = (false, false);
    let mut args = env::args_os().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().map(PathBuf::from).with_context(|| format!("{} needs a value", arg.display()));
        match arg.to_str() {
            Some("-I") => includes.push(value()?),
            Some("-o") => output = Some(value()?),
            Some("--include_imports") => imports = true,
            Some("--include_source_info") => source_info = true,
            Some(other) if other.starts_with('-') => bail!("unknown option {other}; install protoc and try again"),
            _ => files.push(PathBuf::from(arg)),
        }
    }
    let output = output.context("no output file: -o FILE")?;
    let mut compiler = Compiler::new(includes)?;
    compiler.include_imports(imports).include_source_info(source_info).open_files(files)?;
    fs::write(&output, compiler.encode_file_descriptor_set())
        .with_context(|| format!("cannot write {}", output.display()))
}
