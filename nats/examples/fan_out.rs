//! Measures a NATS server with plain sockets: publish only, one to one, one to four.
//!
//! ```text
//! cargo run --release -p strandline-nats --example fan_out -- 127.0.0.1:4222 [SIZE] [SECONDS]
//! cargo run --release -p strandline-nats --example fan_out -- serve 127.0.0.1:4333
//! cargo run --release -p strandline-nats --example fan_out -- idle 127.0.0.1:4333 10000
//! ```
//!
//! The first form loads any server, so that two of them can be compared in one run; the second serves until it is killed; the
//! third holds connections that do nothing.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BATCH: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", address] => serve(address),
        ["idle", address, count] => idle(address, count.parse()?),
        [address] => measure(address, 128, 3),
        [address, size] => measure(address, size.parse()?, 3),
        [address, size, seconds] => measure(address, size.parse()?, seconds.parse()?),
        [] => Err("which address?".into()),
        _ => Err("too many arguments".into()),
    }
}

fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let (host, port) = address.rsplit_once(':').ok_or("no port")?;
    let options = strandline_nats::Options {
        host: host.to_owned(),
        port: port.parse()?,
        ..Default::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = strandline_nats::Server::start(options).await?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "listening on {}", server.client_addr())?;
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// Holds connections that do nothing, for somebody to look at the server's memory.
fn idle(address: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = connect(address)?;
        client.write_all(format!("SUB idle.{number} 1\r\nPING\r\n").as_bytes())?;
        wait_for_pong(&mut client)?;
        clients.push(client);
    }
    writeln!(std::io::stdout(), "{} connected", clients.len())?;
    thread::sleep(Duration::from_secs(15));
    Ok(())
}

fn measure(address: &str, size: usize, seconds: u64) -> Result<(), Box<dyn Error>> {
    let span = Duration::from_secs(seconds);
    for subscribers in [0, 1, 4] {
        let (sent, received) = run(address, size, subscribers, span)?;
        let line = format!(
            "{address} {size} B 1->{subscribers}: {:.0}k/s in, {:.0}k/s delivered\n",
            sent / 1000.0,
            received / 1000.0
        );
        std::io::stdout().write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Messages per second in and out.
fn run(address: &str, size: usize, subscribers: usize, span: Duration) -> Result<(f64, f64), Box<dyn Error>> {
    let subject = format!("bench.{subscribers}");
    let stop = Arc::new(AtomicBool::new(false));
    let received = Arc::new(AtomicU64::new(0));
    let mut readers = Vec::new();
    for _ in 0..subscribers {
        let mut client = connect(address)?;
        client.write_all(format!("SUB {subject} 1\r\nPING\r\n").as_bytes())?;
        wait_for_pong(&mut client)?;
        let (stop, received) = (Arc::clone(&stop), Arc::clone(&received));
        let message_size = format!("MSG {subject} 1 {size}\r\n").len() + size + 2;
        readers.push(thread::spawn(move || {
            count(client, message_size, &received, &stop);
        }));
    }
    let mut publisher = connect(address)?;
    let one = [
        format!("PUB {subject} {size}\r\n").into_bytes(),
        vec![b'x'; size],
        b"\r\n".to_vec(),
    ]
    .concat();
    let per_batch = (BATCH / one.len()).max(1);
    let batch = one.repeat(per_batch);
    let begun = Instant::now();
    let mut sent = 0_u64;
    while begun.elapsed() < span {
        publisher.write_all(&batch)?;
        sent += u64::try_from(per_batch)?;
    }
    publisher.write_all(b"PING\r\n")?;
    wait_for_pong(&mut publisher)?;
    let handled = begun.elapsed().as_secs_f64();
    let wanted = sent * u64::try_from(subscribers)?;
    let patience = Instant::now();
    while received.load(Ordering::Relaxed) < wanted && patience.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(1));
    }
    let drained = begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| drop(reader.join()));
    let messages = |count: u64| f64::from(u32::try_from(count / 1000).unwrap_or(u32::MAX)) * 1000.0;
    if received.load(Ordering::Relaxed) < wanted {
        return Err(format!(
            "only {} of {wanted} messages arrived",
            received.load(Ordering::Relaxed)
        )
        .into());
    }
    let span = if subscribers == 0 { handled } else { drained };
    Ok((messages(sent) / span, messages(wanted) / span))
}

fn count(mut client: TcpStream, message_size: usize, received: &AtomicU64, stop: &AtomicBool) {
    let mut buffer = vec![0; 256 * 1024];
    let (mut bytes, mut counted) = (0, 0);
    let _ = client.set_read_timeout(Some(Duration::from_millis(100)));
    while !stop.load(Ordering::Relaxed) {
        bytes += client.read(&mut buffer).unwrap_or_default();
        let messages = bytes / message_size;
        received.fetch_add(
            u64::try_from(messages - counted).unwrap_or_default(),
            Ordering::Relaxed,
        );
        counted = messages;
    }
}

fn connect(address: &str) -> Result<TcpStream, Box<dyn Error>> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    client.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n")?;
    wait_for_pong(&mut client)?;
    Ok(client)
}

fn wait_for_pong(client: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.windows(6).any(|window| window == b"PONG\r\n") {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Err(format!("server closed: {}", String::from_utf8_lossy(&seen)).into());
        }
        seen.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    Ok(())
}
