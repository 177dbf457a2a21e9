//! A small HTTP/1.1 client. A crate for it would have to compile before each example.

use std::io::{Read, Write};
use std::net::TcpStream;

#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends a request on a connection of its own. Each header ends in `\r\n`.
pub(crate) fn ask(method: &str, url: &str, headers: &str, body: &str) -> Answer {
    let (address, path) = parts(url);
    let mut connection = TcpStream::connect(address).expect("a listener");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{headers}\r\n"
    );
    let request = head + body;
    connection.write_all(request.as_bytes()).expect("a reader");
    let mut response = String::new();
    connection.read_to_string(&mut response).expect("UTF-8");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.strip_prefix("HTTP/1.1 ").map(|head| &head[..3]);
    Answer {
        status: status.expect("a status line").parse().expect("a status"),
        body: body.to_owned(),
    }
}

/// Splits a URL into address and path.
pub(crate) fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("HTTP");
    rest.split_at(rest.find('/').expect("a path"))
}
