// SPDX-License-Identifier: MIT
//! Each text is taken apart in a process of its own. One of them crashes the parser, and one is no text.

use forkserver::{enter, entry, Attributes, Error, Limit, Request, Sandbox, Server, MAIN};
use std::time::Duration;

/// What runs in the processes.
fn count_words(input: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(input).map_err(|error| error.to_string())?;
    if text == "deadly" {
        panic!("it is deadly");
    }
    Ok(format!("{} words", text.split_whitespace().count()).into_bytes())
}

fn main() -> Result<(), Error> {
    enter(vec![entry!("count_words", count_words)])?;
    let server = Server::new(&[MAIN])?;
    let request = Request::entry(":count_words")?.time_limit(Duration::from_secs(10));

    for text in [&b"a few words"[..], b"deadly", b"no text: \xff"] {
        match server.call(&request, text) {
            Ok(count) => println!("{}", String::from_utf8_lossy(&count)),
            Err(error) => println!("{error} (signal {}, code {})", error.signal, error.code),
        }
    }

    // The same for many, several at a time.
    let texts = vec![&b"two words"[..]; 100];
    let mut good = 0;
    server.call_many(&request, &texts, 0, |_, count| {
        good += (count.ok() == Some(b"2 words")) as u32
    })?;
    println!("{good} more have two words");

    // In a sandbox, which has no network, no programs and few files.
    let sandbox = Sandbox::profile("untrusted")?.seal()?;
    let boxed = Request::entry(":count_words")?.in_sandbox(&sandbox);
    println!("{}", String::from_utf8_lossy(&server.call(&boxed, b"in a box")?));

    // A program, which may have 7 files open, and whose end is waited for.
    const NOFILE: i32 = 7; // RLIMIT_NOFILE
    let limit = Limit {
        resource: NOFILE,
        soft: Some(7),
        hard: None,
    };
    let few = Attributes {
        limits: vec![limit],
        ..Default::default()
    };
    let shell = Request::program("sh")?
        .arguments(&["sh", "-c", "exit $(ulimit -n)"])?
        .attributes(&few)?;
    println!("sh exited with {}", server.run(&shell)?);
    Ok(())
}
