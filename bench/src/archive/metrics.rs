//! Numbers that a broker answers over HTTP.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::BenchError;

/// The body of the answer to a GET, which has to be one of success.
pub(super) async fn get(address: &str, path: &str) -> Result<String, BenchError> {
    let unreachable = |reason: String| BenchError::Unreachable {
        address: address.to_owned(),
        reason,
    };
    let socket = TcpStream::connect(address)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let handshake = http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(error.to_string()))?;
    tokio::spawn(connection);
    let foreign = |reason: String| BenchError::Foreign {
        address: address.to_owned(),
        reason,
    };
    let request = Request::get(path)
        .header("host", address)
        .body(Empty::<Bytes>::new())
        .map_err(|error| foreign(error.to_string()))?;
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| unreachable(error.to_string()))?;
    if !response.status().is_success() {
        return Err(foreign(format!("{path} was answered with {}", response.status())));
    }
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| unreachable(error.to_string()))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The value of a number with these labels; 0 when it is not there.
pub(super) fn number(metrics: &str, name: &str) -> f64 {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let metrics = "# HELP a x\na_total 1\na{kind=\"read\"} 2.5\na 3\n";
        assert_eq!(number(metrics, "a{kind=\"read\"}").to_bits(), 2.5_f64.to_bits());
        assert_eq!(number(metrics, "a").to_bits(), 3_f64.to_bits());
        assert_eq!(number(metrics, "b").to_bits(), 0_f64.to_bits());
    }
}
