//! Asks pkg-config where the library lies. Where there is none, the linker's own paths have to do.
use std::process::Command;

fn main() {
    let answer = Command::new("pkg-config")
        .args(["--libs-only-L", "libforkserver"])
        .output();
    if let Ok(answer) = answer {
        for word in String::from_utf8_lossy(&answer.stdout).split_whitespace() {
            if let Some(path) = word.strip_prefix("-L") {
                println!("cargo:rustc-link-search=native={path}");
            }
        }
    }
}
