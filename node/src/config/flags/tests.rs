use super::*;

fn no_files(path: &Path) -> io::Result<String> {
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        path.display().to_string(),
    ))
}

fn parse(args: &[&str]) -> Result<Flags, FlagError> {
    Flags::parse(args.iter().copied(), &no_files)
}

#[test]
fn the_spellings_of_gflags_mean_the_same() {
    let expected = Flags {
        rpc_socket_port: Some(9700),
        ..Flags::default()
    };
    for args in [
        &["--rpc_socket_port", "9700"][..],
        &["-rpc_socket_port", "9700"],
        &["--rpc-socket-port=9700"],
        &["-rpc-socket_port=9700"],
        &["--rpc_socket_port=1", "--rpc_socket_port=9700"],
    ] {
        assert_eq!(parse(args).unwrap(), expected, "{args:?}");
    }
}

#[test]
fn a_switch_is_on_off_or_told() {
    for (arg, value) in [
        ("--rpc", true),
        ("--norpc", false),
        ("--rpc=false", false),
        ("-rpc=1", true),
        ("-norpc", false),
    ] {
        assert_eq!(parse(&[arg]).unwrap().rpc, Some(value), "{arg}");
    }
    assert!(matches!(
        parse(&["--rpc=maybe"]),
        Err(FlagError::BadValue { .. })
    ));
}

#[test]
fn a_switch_takes_no_following_word() {
    assert!(
        matches!(parse(&["--rpc", "false"]), Err(FlagError::NotAFlag { text }) if text == "false")
    );
}

#[test]
fn our_own_flags_are_read() {
    let flags = parse(&[
        "--socket=/tmp/v.sock",
        "--socket-mode",
        "0600",
        "--size",
        "1G",
        "--data-dir=/tmp/d",
        "--listen",
        "0.0.0.0:0",
        "--join",
        "a:1, b:2",
        "--expect=3",
        "--found",
        "--moved",
        "--token-file=t",
        "--log=debug",
        "--log-format=json",
        "--slow-request-ms=250",
        "--stream_threshold=60",
        "--htpasswd=users",
        "--feature-level=1",
    ])
    .unwrap();
    let expected = Flags {
        socket: Some("/tmp/v.sock".into()),
        socket_mode: Some(0o600),
        size_bytes: Some(1 << 30),
        data_dir: Some("/tmp/d".into()),
        listen: Some("0.0.0.0:0".into()),
        join: vec!["a:1".into(), "b:2".into()],
        expect: Some(3),
        found: true,
        moved: true,
        token_file: Some("t".into()),
        log: Some("debug".into()),
        log_format: Some(LogFormat::Json),
        slow_request_ms: Some(250),
        stream_threshold_percent: Some(60),
        htpasswd: Some("users".into()),
        feature_level: Some(1),
        ..Flags::default()
    };
    assert_eq!(flags, expected);
}

#[test]
fn a_threshold_is_a_percentage() {
    for percent in ["0", "101", "half"] {
        let refused = parse(&["--stream-threshold", percent])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("from 1 to 100"), "{refused}");
    }
}

#[test]
fn a_cluster_forms_of_1_3_or_5_nodes() {
    for nodes in ["1", "3", "5"] {
        parse(&["--expect", nodes]).unwrap();
    }
    for nodes in ["0", "2", "4", "7", "three"] {
        let refused = parse(&["--expect", nodes]).unwrap_err().to_string();
        assert!(refused.contains("1, 3 or 5"), "{refused}");
    }
}

#[test]
fn a_token_as_an_argument_is_taken_with_a_warning() {
    let flags = parse(&["--token=vy1.x"]).unwrap();
    assert_eq!(flags.token.as_deref(), Some("vy1.x"));
    assert!(flags.notices[0].contains("process list"));
}

#[test]
fn a_feature_level_that_this_build_does_not_know_is_refused() {
    for level in ["9", "-1", "new"] {
        let refused = parse(&["--feature-level", level]).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("from 0 to {LATEST}")),
            "{refused}"
        );
    }
}

#[test]
fn the_released_launchers_command_line_is_accepted() {
    let line = "--deployment local --size 256M --socket /tmp/v.sock --rpc --rpc_socket_port 9600 \
                --meta etcd --etcd_endpoint http://127.0.0.1:2379 --etcd_prefix vineyard";
    let flags = parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
    assert_eq!(flags.size_bytes, Some(256 << 20));
    assert_eq!(flags.rpc, Some(true));
    assert_eq!(flags.notices.len(), 3, "{:?}", flags.notices);
    assert!(flags.notices[1].starts_with("--etcd-endpoint: not needed any more"));
}

/// The list that the released binary prints for `--help`.
#[test]
fn every_flag_of_the_released_server_is_known() {
    let values = "allocator deployment etcd_cmd etcd_data_dir etcd_endpoint etcd_prefix htpasswd meta meta_timeout \
                  rdma_endpoint rpc_socket_port size socket spill_lower_rate spill_path spill_upper_rate \
                  stream_threshold redis_endpoint redis_prefix redis_cmd";
    for name in values.split_whitespace() {
        assert!(
            find(name).is_ok_and(|(spec, _)| matches!(spec.takes, Takes::Value(_))),
            "{name}"
        );
    }
    let switches =
        "reserve_memory compression coredump metrics prometheus rpc skip_launch_etcd sync_crds";
    for name in switches.split_whitespace() {
        assert!(
            find(name).is_ok_and(|(spec, _)| matches!(spec.takes, Takes::Switch)),
            "{name}"
        );
    }
}

#[test]
fn help_names_each_flag_once() {
    let help = help();
    for name in [
        "--socket PATH",
        "--[no]rpc ",
        "--etcd-endpoint\n",
        "--flagfile FILE",
    ] {
        assert_eq!(help.matches(&format!("  {name}")).count(), 1, "{name}");
    }
}

#[test]
fn an_unknown_flag_is_an_error_with_a_hint() {
    let told = |args: &[&str]| parse(args).unwrap_err().to_string();
    assert_eq!(
        told(&["--sokcet=x"]),
        "unknown flag --sokcet; did you mean --socket? See --help"
    );
    assert_eq!(told(&["--zzzzzzzz"]), "unknown flag --zzzzzzzz; see --help");
    assert_eq!(
        told(&["--nosocket"]),
        "unknown flag --nosocket; did you mean --socket? See --help"
    );
    assert_eq!(
        told(&["serve"]),
        "\"serve\" is not a flag; flags begin with --, see --help"
    );
    assert_eq!(told(&["--join"]), "--join needs a value: HOST:PORT,...");
}

#[test]
fn bad_values_are_errors_that_say_what_to_write() {
    for arg in [
        "--size=lots",
        "--socket-mode=999",
        "--rpc_socket_port=70000",
        "--join=host:x",
        "--deployment=x",
    ] {
        assert!(
            matches!(parse(&[arg]), Err(FlagError::BadValue { .. })),
            "{arg}"
        );
    }
}

#[test]
fn a_flag_file_is_read_in_place() {
    let read = |path: &Path| match path.to_str() {
        Some("f") => Ok("# ours\n\n--size=1G\n--socket /tmp/a b.sock\n--flagfile=g\n".to_owned()),
        Some("g") => Ok("--norpc\n".to_owned()),
        Some("loop") => Ok("--flagfile=loop".to_owned()),
        _ => no_files(path),
    };
    let flags = Flags::parse(["--size=2G", "--flagfile=f", "--log=warn"], &read).unwrap();
    assert_eq!(flags.size_bytes, Some(1 << 30));
    assert_eq!(flags.socket.as_deref(), Some("/tmp/a b.sock"));
    assert_eq!(
        (flags.rpc, flags.log.as_deref()),
        (Some(false), Some("warn"))
    );
    let error = |file: &str| Flags::parse([format!("--flagfile={file}")], &read).unwrap_err();
    assert!(matches!(error("loop"), FlagError::FlagFileDepth { .. }));
    assert!(matches!(error("absent"), FlagError::FlagFile { .. }));
}

#[test]
fn what_others_dial_is_a_host_with_or_without_a_port() {
    let advertise = |value: &str| parse(&["--advertise", value]).map(|flags| flags.advertise);
    for good in [
        "",
        "a",
        "a.b:1",
        "10.0.0.1",
        "10.0.0.1:65535",
        "[::1]",
        "[::1]:2",
    ] {
        assert_eq!(advertise(good).unwrap().as_deref(), Some(good));
    }
    let long = "x".repeat(600);
    for bad in [
        ":1",
        "a:0",
        "a:x",
        "a:65536",
        "::1",
        "a b",
        "a:1:2",
        long.as_str(),
    ] {
        assert!(
            matches!(advertise(bad), Err(FlagError::BadValue { .. })),
            "{bad}"
        );
    }
}

#[test]
fn a_time_has_a_unit() {
    let told = |value: &str| parse(&["--replace-after", value]).map(|flags| flags.replace_after);
    for (value, seconds) in [("90s", 90), ("10m", 600), ("2h", 7200)] {
        assert_eq!(told(value).unwrap(), Some(Duration::from_secs(seconds)));
    }
    for bad in ["", "10", "0s", "m", "-1s", "1d", "1.5h", "99999999999h"] {
        assert!(
            matches!(told(bad), Err(FlagError::BadValue { .. })),
            "{bad}"
        );
    }
}
