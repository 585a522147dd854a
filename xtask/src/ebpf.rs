//! `cargo xtask bpf`: compiles the probe's kernel programs. The objects are committed, so that
//! building the probe takes no clang; a check proves that they match their source.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xtask::command::{command, on_path, run};
use xtask::setup::{Purpose, setup};
use xtask::{target_directory, workspace};

/// The compiler that the objects are made by: another one makes other bytes.
const CLANG: &str = "clang-14";
const STRIP: &str = "llvm-strip-14";

/// The programs, each an object of its own.
const OBJECTS: [&str; 3] = ["vcpu", "dirty", "mark"];

/// Compiles them into their place.
pub(crate) fn build() -> Result<()> {
    setup(Purpose::KernelPrograms)?;
    for name in OBJECTS {
        let object = folder().join(format!("{name}.bpf.o"));
        compile(name, &object)?;
        eprintln!("wrote {}", object.display());
    }
    Ok(())
}

/// Why they cannot be compiled here, if so.
pub(crate) fn lacks() -> Option<String> {
    let here = || on_path(CLANG) && on_path(STRIP) && Path::new("/usr/include/bpf").is_dir();
    if here() {
        return None;
    }
    let why = setup(Purpose::KernelPrograms).err();
    (!here()).then(|| why.map_or(format!("{CLANG} is not here"), |e| format!("{e:#}")))
}

/// Whether the committed objects are what their source makes.
pub(crate) fn check() -> Result<()> {
    let scratch = target_directory().join("bpf");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    for name in OBJECTS {
        let file = format!("{name}.bpf.o");
        let fresh = scratch.join(&file);
        compile(name, &fresh)?;
        if fs::read(&fresh)? != fs::read(folder().join(&file))? {
            bail!(
                "probe-ebpf/bpf/{file} does not match its source; `cargo xtask bpf` makes it anew"
            );
        }
    }
    Ok(())
}

fn folder() -> PathBuf {
    workspace().join("probe-ebpf/bpf")
}

fn compile(name: &str, object: &Path) -> Result<()> {
    let folder = folder();
    let object = std::path::absolute(object)?;
    let mut clang = command([CLANG, "-g", "-O2", "-target", "bpf", "-mcpu=v3"]);
    clang.args(["-Wall", "-Werror"]);
    // No path of this machine goes into the object.
    clang.arg(format!("-ffile-prefix-map={}=.", folder.display()));
    clang
        .args(["-c", &format!("{name}.bpf.c"), "-o"])
        .arg(&object);
    run(clang.current_dir(&folder))?;
    // The types (BTF) stay, which find the kernel's fields.
    run(command([STRIP, "-g"]).arg(&object))
}
