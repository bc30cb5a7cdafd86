//! `strandline bench`: how fast it is here, beside what the machine and other servers do.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use strandline_bench::{
    ArchiveOptions, ArchiveWork, BenchError, Filter, Options, Peer, Report, Store, Target, Work,
};
use tokio_util::sync::CancellationToken;

use super::output_failure;
use super::stream::BackendWord;
use crate::exit::{Exit, Failure};

/// Largest value: a message with it is below every server's limit.
const MAX_VALUE_BYTES: u64 = 512 << 10;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to do [default: publish nats-acks replay window-one tail; with --archive: all that measures the archive]
    #[arg(value_name = "WORK", value_parser = work, conflicts_with = "all")]
    works: Vec<Word>,
    /// Everything but `soak` and the archive; takes some minutes
    #[arg(long)]
    all: bool,
    /// The same work on a real nats-server with JetStream, as it syncs by default and syncing always
    #[arg(long, value_name = "jetstream=PATH", value_parser = peer)]
    against: Vec<PathBuf>,
    /// Do works that publish with this filter on the way in as well, and replays with it on the way out
    #[arg(long, value_name = "FILE[=SETTINGS]", value_parser = filter)]
    filter: Vec<Filter>,
    /// Storage engine of the streams that are measured
    #[arg(long, value_enum)]
    backend: Option<BackendWord>,
    /// Measure a broker that runs already instead of one started for this: its gRPC address
    #[arg(long, value_name = "ADDRESS")]
    servers: Option<String>,
    /// Where that broker's NATS server listens
    #[arg(long, value_name = "ADDRESS", requires = "servers")]
    nats: Option<String>,
    /// That broker's process, if it runs here: for its CPU time and memory
    #[arg(long, value_name = "NUMBER", requires = "servers")]
    pid: Option<u32>,
    /// Where brokers that are started keep their data: on the disk to be measured
    #[arg(long, value_name = "PATH", default_value = ".")]
    directory: PathBuf,
    /// Bytes of a message's value
    #[arg(long, value_name = "BYTES", default_value_t = Options::DEFAULT_VALUE_BYTES as u64,
        value_parser = clap::value_parser!(u64).range(Options::MIN_VALUE_BYTES as u64..=MAX_VALUE_BYTES))]
    size: u64,
    /// Seconds that works without an end of their own take
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// MiB that the work `restart` stores before it kills the broker
    #[arg(long, value_name = "NUMBER", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    restart_mib: u64,
    /// Seconds that the work `soak` takes
    #[arg(long, value_name = "NUMBER", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    soak_seconds: u64,
    /// MiB that the work `soak` keeps on the disk
    #[arg(long, value_name = "NUMBER", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(64..=1 << 20))]
    soak_mib: u64,
    /// What archiving costs, with this store: a minio that is started for it, or the URL of a bucket, which is reached as a
    /// broker reaches it
    #[arg(long, value_name = "minio=PATH|URL", value_parser = store, conflicts_with_all = ["servers", "all"])]
    archive: Option<Store>,
    /// Where a minio that is started keeps its data, if not beside the brokers' [for instance /dev/shm]
    #[arg(long, value_name = "PATH", requires = "archive")]
    archive_directory: Option<PathBuf>,
    /// MiB that are archived, read and restored
    #[arg(long, value_name = "NUMBER", default_value_t = ArchiveOptions::DEFAULT_BYTES >> 20, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    archive_mib: u64,
    /// Streams of the work `archive-memory`
    #[arg(long, value_name = "NUMBER", default_value_t = ArchiveOptions::DEFAULT_STREAMS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    archive_streams: u32,
    /// Seconds that the work `archive-publish` takes, with archiving and without together
    #[arg(long, value_name = "NUMBER", default_value_t = ArchiveOptions::DEFAULT_TIME.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    archive_seconds: u64,
    /// How often to do everything
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// One JSON object for each run instead of tables; times in seconds
    #[arg(long)]
    json: bool,
}

/// A work of either kind.
#[derive(Clone, Copy, Debug)]
enum Word {
    Broker(Work),
    Archive(ArchiveWork),
}

fn work(name: &str) -> Result<Word, String> {
    let broker = Work::ALL.into_iter().chain(Work::APART);
    let broker = broker.map(|work| (work.name(), Word::Broker(work)));
    let archive = ArchiveWork::ALL.map(|work| (work.name(), Word::Archive(work)));
    let all: Vec<_> = broker.chain(archive).collect();
    let found = all.iter().find(|(word, _)| *word == name);
    found.map(|(_, work)| *work).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
        format!("there are {}", names.join(", "))
    })
}

fn store(text: &str) -> Result<Store, String> {
    if text.contains("://") {
        return Ok(Store::Url(text.to_owned()));
    }
    let path = text.strip_prefix("minio=").filter(|path| !path.is_empty());
    let path = path.ok_or(
        "say minio=PATH, with the path of a minio, or the URL of a bucket such as s3://BUCKET/PREFIX",
    )?;
    let program = std::path::absolute(path).map_err(|error| error.to_string())?;
    Ok(Store::Minio { program })
}

fn peer(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("jetstream=").filter(|path| !path.is_empty());
    let path = path.ok_or("say jetstream=PATH, with the path of a nats-server")?;
    // The server is started in another directory.
    std::path::absolute(path).map_err(|error| error.to_string())
}

fn filter(text: &str) -> Result<Filter, String> {
    let (file, settings) = text.split_once('=').unwrap_or((text, ""));
    if file.is_empty() {
        return Err(
            "say FILE or FILE=SETTINGS, with the path of a plugin and its settings as JSON".to_owned(),
        );
    }
    if !settings.is_empty() {
        super::plugin::json(settings).map_err(|problem| format!("the text behind = {problem}"))?;
    }
    Ok(Filter {
        file: file.into(),
        settings: settings.to_owned(),
    })
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    let options = options(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // The clients shall not take more of the machine than they need.
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the benchmark: {error}")))?;
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.cancel();
        }
    });
    for _ in 0..args.runs {
        let mut report = Report::default();
        // On a worker: the thread that blocks would be another one to wake.
        let outcome = runtime.block_on(measure(options.clone(), stop.clone(), &mut report));
        print(args, &report)?;
        outcome.map_err(|error| failure(&error))?;
    }
    runtime.shutdown_background();
    Ok(Exit::Success)
}

async fn measure(options: Options, stop: CancellationToken, report: &mut Report) -> Result<(), BenchError> {
    let run = async move {
        let mut report = Report::default();
        let outcome = strandline_bench::run(&options, &stop, &mut report).await;
        (outcome, report)
    };
    match tokio::spawn(run).await {
        Ok((outcome, measured)) => {
            *report = measured;
            outcome
        }
        Err(_) => Err(BenchError::Interrupted),
    }
}

fn options(args: &BenchArgs) -> Result<Options, Failure> {
    let (works, archive) = works(args)?;
    let target = match &args.servers {
        Some(grpc) => Target::Running {
            grpc: grpc.clone(),
            nats: args.nats.clone(),
            pid: args.pid,
        },
        None => Target::Own {
            program: std::env::current_exe()
                .map_err(|error| Failure::new(format!("cannot find this program: {error}")))?,
        },
    };
    let directory = std::path::absolute(&args.directory)
        .map_err(|error| Failure::new(format!("{}: {error}", args.directory.display())))?;
    let both = |program: &PathBuf| {
        [false, true].map(|sync_always| Peer::JetStream {
            program: program.clone(),
            sync_always,
        })
    };
    Ok(Options {
        works,
        target,
        backend: args.backend.map(Into::into),
        filters: args.filter.clone(),
        against: args.against.iter().flat_map(both).collect(),
        directory,
        value_bytes: usize::try_from(args.size).unwrap_or(Options::DEFAULT_VALUE_BYTES),
        time: Duration::from_secs(args.seconds),
        restart_bytes: args.restart_mib << 20,
        soak_time: Duration::from_secs(args.soak_seconds),
        soak_bytes: args.soak_mib << 20,
        archive,
    })
}

fn works(args: &BenchArgs) -> Result<(Vec<Work>, Option<ArchiveOptions>), Failure> {
    let (mut of_broker, mut of_archive) = (Vec::new(), Vec::new());
    for &word in &args.works {
        match word {
            Word::Broker(work) => of_broker.push(work),
            Word::Archive(work) => of_archive.push(work),
        }
    }
    if args.all {
        of_broker = Work::ALL.to_vec();
    }
    let Some(store) = &args.archive else {
        if let Some(work) = of_archive.first() {
            let problem = format!(
                "{} needs a store: --archive minio=PATH, or --archive URL",
                work.name()
            );
            return Err(Failure::new(problem));
        }
        if of_broker.is_empty() {
            of_broker = Work::QUICK.to_vec();
        }
        return Ok((of_broker, None));
    };
    if let (Store::Url(url), Some(_)) = (store, &args.archive_directory) {
        let problem =
            format!("--archive-directory is for a minio that is started: what is at {url} has its place");
        return Err(Failure::new(problem));
    }
    if of_archive.is_empty() {
        of_archive = ArchiveWork::ALL.to_vec();
    }
    let archive = ArchiveOptions {
        works: of_archive,
        store: store.clone(),
        store_directory: args.archive_directory.clone(),
        bytes: args.archive_mib << 20,
        streams: args.archive_streams,
        time: Duration::from_secs(args.archive_seconds),
    };
    Ok((of_broker, Some(archive)))
}

fn print(args: &BenchArgs, report: &Report) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer(&mut output, report)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(output))
    } else {
        write!(output, "{report}")
    };
    written
        .and_then(|()| output.flush())
        .map_err(|error| output_failure(&error))
}

fn failure(error: &BenchError) -> Failure {
    let exit = match error {
        BenchError::Unreachable { .. } => Exit::Unreachable,
        BenchError::Interrupted => Exit::Interrupted,
        _ => Exit::Failed,
    };
    Failure::with(exit, error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn parse(line: &str) -> Result<Options, String> {
        let line = Line::try_parse_from(std::iter::once("bench").chain(line.split_whitespace()));
        let line = line.map_err(|error| error.to_string())?;
        options(&line.args).map_err(|failure| failure.message)
    }

    #[test]
    fn works_are_chosen_by_name_and_nonsense_is_answered_with_the_names() {
        assert_eq!(parse("").unwrap().works, Work::QUICK);
        assert_eq!(parse("--all").unwrap().works, Work::ALL);
        assert_eq!(parse("soak --soak-mib 64").unwrap().works, [Work::Soak]);
        assert_eq!(parse("tail publish").unwrap().works, [Work::Tail, Work::Publish]);
        assert!(parse("publsh").unwrap_err().contains("publish, publish-one"));
        assert!(parse("tail --all").is_err());
        assert!(parse("--size 7").is_err() && parse("--seconds 0").is_err());
        assert!(parse("soak --soak-mib 1").is_err() && parse("soak --soak-seconds 0").is_err());
        assert!(parse("--nats 127.0.0.1:4222").is_err());
    }

    #[test]
    fn works_of_the_archive_need_a_store_and_a_store_is_all_that_they_need() {
        let archive = |line: &str| parse(line).map(|options| (options.works, options.archive));
        let (works, Some(all)) = archive("--archive minio=/bin/minio").unwrap() else {
            panic!("there is an archive")
        };
        assert!(works.is_empty() && all.works == ArchiveWork::ALL);
        let program = "/bin/minio".into();
        assert_eq!(all.store, Store::Minio { program });
        let (works, Some(some)) = archive("archive-read tail --archive s3://b/x --archive-mib 8").unwrap()
        else {
            panic!("there is an archive")
        };
        assert_eq!((works, some.works), (vec![Work::Tail], vec![ArchiveWork::Read]));
        assert_eq!(
            (some.store, some.bytes),
            (Store::Url("s3://b/x".to_owned()), 8 << 20)
        );
        assert!(
            archive("archive-read")
                .unwrap_err()
                .contains("--archive minio=PATH")
        );
        assert!(archive("--archive minio").unwrap_err().contains("minio=PATH"));
        assert!(archive("--archive s3://b --servers localhost:1").is_err());
        let elsewhere = archive("--archive minio=/bin/minio --archive-directory /mnt")
            .unwrap()
            .1;
        assert_eq!(
            elsewhere.and_then(|archive| archive.store_directory),
            Some("/mnt".into())
        );
        let misplaced = archive("--archive s3://b/x --archive-directory /mnt").unwrap_err();
        assert!(misplaced.contains("s3://b/x"), "{misplaced}");
        assert!(archive("--archive-directory /mnt").is_err());
    }

    #[test]
    fn the_backend_is_chosen_by_name() {
        assert_eq!(parse("").unwrap().backend, None);
        let chosen = parse("--backend redb").unwrap().backend;
        assert_eq!(chosen, Some(strandline_client::Backend::Redb));
        assert!(parse("--backend rocks").is_err());
    }

    #[test]
    fn a_filter_is_a_file_with_settings_in_json() {
        let filters = parse(r#"--filter a.wasm --filter b.wasm={"x":1}"#)
            .unwrap()
            .filters;
        let [a, b] = &filters[..] else {
            panic!("there are two")
        };
        assert_eq!((a.file.as_path(), &*a.settings), ("a.wasm".as_ref(), ""));
        assert_eq!(
            (b.file.as_path(), &*b.settings),
            ("b.wasm".as_ref(), r#"{"x":1}"#)
        );
        assert!(parse("--filter a.wasm={").unwrap_err().contains("no JSON"));
        assert!(parse("--filter =1").is_err());
    }

    #[test]
    fn a_peer_is_measured_both_ways_of_syncing() {
        let against = parse("--against jetstream=/bin/nats-server").unwrap().against;
        let both = [false, true].map(|sync_always| Peer::JetStream {
            program: "/bin/nats-server".into(),
            sync_always,
        });
        assert_eq!(against, both);
        assert!(
            parse("--against /bin/nats-server")
                .unwrap_err()
                .contains("jetstream=PATH")
        );
    }
}
