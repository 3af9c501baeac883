//! A proxy that treats HTTP requests as a bad network and a bad store do. One request a connection.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::corpus::Random;
use crate::wire::Head;

/// No request takes longer, so that no thread stays.
const LONGEST: Duration = Duration::from_secs(90);
/// How often a slow transfer looks whether the weather has changed.
const SLICE: Duration = Duration::from_millis(100);

/// What happens to requests; shares are probabilities from 0 to 1, rolled one after the other.
#[derive(Clone, Copy, Default, Debug)]
pub struct Weather {
    /// Nothing gets through: half of the connections are reset, half are never answered.
    pub blackout: bool,
    /// Answered 403 with this code, and not passed on.
    pub forbidden: Option<&'static str>,
    /// Reset: half of them before the request is passed on, half within the reply.
    pub reset: f64,
    /// Answered 500 or 503, and not passed on.
    pub error: f64,
    /// Answered 429, and not passed on.
    pub throttle: f64,
    /// Passed on after that time.
    pub delay: (Duration, f64),
    /// Passed on; the last byte of the reply comes two seconds late.
    pub slow_close: f64,
    /// Passed on, and done; the reply is lost.
    pub lose_reply: f64,
    /// A multipart upload is completed, and its reply is 200 with an error in it.
    pub complete_fails: f64,
    /// Both ways.
    pub bytes_per_second: Option<u64>,
}

/// The listener, and what it did.
pub struct Proxy {
    pub port: u16,
    sky: Arc<Sky>,
}

struct Sky {
    upstream: u16,
    weather: Mutex<Weather>,
    random: Mutex<Random>,
    done: Mutex<BTreeMap<&'static str, u64>>,
}

impl Proxy {
    pub fn start(upstream: u16, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let random = Mutex::new(Random(seed));
        let sky = Arc::new(Sky { upstream, weather: Mutex::default(), random, done: Mutex::default() });
        let shared = sky.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sky = shared.clone();
                thread::spawn(move || sky.serve(stream));
            }
        });
        Proxy { port, sky }
    }

    pub fn set(&self, weather: Weather) {
        *self.sky.weather.lock().unwrap() = weather;
    }

    pub fn clear(&self) {
        self.set(Weather::default());
    }

    /// How often each thing was done since the last call.
    pub fn take_counts(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.sky.done.lock().unwrap())
    }
}

impl Sky {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn roll(&self, share: f64) -> bool {
        share > 0.0 && (self.random.lock().unwrap().below(1 << 30) as f64) < share * f64::from(1 << 30)
    }

    fn count(&self, what: &'static str) {
        *self.done.lock().unwrap().entry(what).or_default() += 1;
    }

    fn serve(&self, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        let _ = client.set_read_timeout(Some(LONGEST));
        // How a connection ends is part of the weather.
        let _ = self.request(&mut client);
    }

    fn request(&self, client: &mut TcpStream) -> io::Result<()> {
        let weather = self.weather();
        if weather.blackout {
            return self.black_out(client);
        }
        let Some(mut head) = Head::read(client)? else { return Ok(()) };
        if head.header("expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = head.body(client)?;
        self.count("requests");
        if let Some(reply) = self.refusal(weather) {
            return client.write_all(reply.as_bytes());
        }
        let reset = self.roll(weather.reset);
        if reset && self.roll(0.5) {
            return self.reset(client);
        }
        if self.roll(weather.delay.1) {
            self.count("delayed");
            self.wait(weather.delay.0);
        }
        let reply = self.pass_on(&head, &body)?;
        self.answer(client, &head, reply, reset)
    }

    /// Holds the connection, or resets it.
    fn black_out(&self, client: &mut TcpStream) -> io::Result<()> {
        self.count("blacked out");
        if self.roll(0.5) {
            self.wait(LONGEST);
        }
        reset(client)
    }

    /// Waits, but not into another weather without a black-out.
    fn wait(&self, time: Duration) {
        let (until, began) = (Instant::now() + time, self.weather().blackout);
        while Instant::now() < until && self.weather().blackout == began {
            thread::sleep(SLICE.min(until - Instant::now().min(until)));
        }
    }

    fn refusal(&self, weather: Weather) -> Option<String> {
        let (status, code) = match weather.forbidden {
            Some(code) => ("403 Forbidden", code),
            None if self.roll(weather.error) && self.roll(0.5) => ("500 Internal Server Error", "InternalError"),
            None if self.roll(weather.error) => ("503 Service Unavailable", "ServiceUnavailable"),
            None if self.roll(weather.throttle) => ("429 Too Many Requests", "SlowDown"),
            None => return None,
        };
        self.count(code);
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>the weather</Message></Error>");
        let length = body.len();
        Some(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"))
    }

    fn reset(&self, client: &mut TcpStream) -> io::Result<()> {
        self.count("reset");
        reset(client)
    }

    /// The whole reply of the other side.
    fn pass_on(&self, head: &Head, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut upstream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.upstream)))?;
        upstream.set_nodelay(true)?;
        upstream.set_read_timeout(Some(LONGEST))?;
        let text = head.text();
        let lines = text.trim_end().split("\r\n").filter(|line| {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            name != "connection" && name != "expect"
        });
        let mut message = lines.collect::<Vec<_>>().join("\r\n").into_bytes();
        message.extend_from_slice(b"\r\nconnection: close\r\n\r\n");
        message.extend_from_slice(body);
        self.write(&mut upstream, &message)?;
        let mut reply = Vec::new();
        upstream.read_to_end(&mut reply)?;
        Ok(reply)
    }

    fn answer(&self, client: &mut TcpStream, head: &Head, reply: Vec<u8>, reset: bool) -> io::Result<()> {
        let weather = self.weather();
        let line = head.text();
        let completes = line.starts_with("POST") && line.contains("uploadId=");
        if completes {
            self.count("multipart uploads");
        }
        if completes && self.roll(weather.complete_fails) {
            self.count("failed completions");
            let body = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
            let length = body.len();
            return write!(client, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        }
        if self.roll(weather.lose_reply) {
            self.count("replies lost");
            return self::reset(client);
        }
        if reset {
            client.write_all(&reply[..reply.len() / 2])?;
            return self.reset(client);
        }
        if self.roll(weather.slow_close) && !reply.is_empty() {
            self.count("slow closes");
            let (most, last) = reply.split_at(reply.len() - 1);
            client.write_all(most)?;
            self.wait(Duration::from_secs(2));
            return client.write_all(last);
        }
        self.write(client, &reply)
    }

    /// Writes at the weather's pace.
    fn write(&self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        let (mut rest, until) = (bytes, Instant::now() + LONGEST);
        while let Some(pace) = self.weather().bytes_per_second.filter(|_| !rest.is_empty()) {
            if Instant::now() > until {
                return self.reset(stream);
            }
            let slice = (pace * SLICE.as_millis() as u64 / 1000).max(1) as usize;
            let (now, later) = rest.split_at(slice.min(rest.len()));
            stream.write_all(now)?;
            rest = later;
            thread::sleep(SLICE);
        }
        stream.write_all(rest)
    }
}

/// Closes with RST instead of FIN: what was under way is gone.
fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
