use super::*;

fn machine() -> Machine {
    Machine {
        memory: Memory {
            machine_bytes: Some(16 << 30),
            group: None,
        },
        current_dir: "/work".into(),
        temp_dir: "/scratch".into(),
        home: Some("/home/u".into()),
        ..Machine::default()
    }
}

fn resolve(
    args: &[&str],
    machine: &Machine,
    old: Option<&Remembered>,
) -> Result<Config, ConfigError> {
    let flags = Flags::parse(args.iter().copied(), &|_| {
        unreachable!("no flag files here")
    })
    .unwrap();
    config(&with_variables(flags, machine)?, machine, old)
}

fn old() -> Remembered {
    let mut config = Config::new("/d", "/srv/old.sock");
    config.size_bytes = 1 << 30;
    config.ipc_socket_mode = 0o600;
    config.rpc = false;
    Remembered::of(&config, Some("10.0.0.7:9601"))
}

#[test]
fn a_node_that_is_told_nothing_has_defaults() {
    let config = resolve(&[], &machine(), None).unwrap();
    assert_eq!(config.ipc_socket, "/home/u/.local/vineyard/vineyard.sock");
    assert_eq!(
        config.data_dir,
        Path::new("/home/u/.local/share/vineyard/home-u-.local-vineyard-vineyard.sock")
    );
    assert_eq!(config.listen, Listen::Auto { port: 9600 });
    assert_eq!(
        (config.size_bytes, config.ipc_socket_mode),
        (8 << 30, 0o660)
    );
    assert_eq!(config.join, None);
}

#[test]
fn a_service_has_its_socket_in_the_run_folder_and_its_data_elsewhere() {
    let machine = Machine {
        run_dir_writable: true,
        home: None,
        ..machine()
    };
    let config = resolve(&[], &machine, None).unwrap();
    assert_eq!(config.ipc_socket, "/var/run/vineyard.sock");
    assert_eq!(
        config.data_dir,
        Path::new("/var/lib/vineyard/var-run-vineyard.sock")
    );
}

#[test]
fn nodes_with_different_sockets_never_share_a_data_dir() {
    let dir = |socket: &str| {
        resolve(&["--socket", socket], &machine(), None)
            .unwrap()
            .data_dir
    };
    assert_eq!(dir("/tmp/x/a.sock"), Path::new("/tmp/x/a.sock.data"));
    assert_eq!(dir("/scratch/a.sock"), Path::new("/scratch/a.sock.data"));
    assert_eq!(
        dir("a.sock"),
        Path::new("/home/u/.local/share/vineyard/work-a.sock")
    );
    assert_ne!(dir("/srv/a/b"), dir("/srv/a-b"));
    assert_ne!(dir("/srv/a-/b"), dir("/srv/a/-b"));
    assert_ne!(dir("/srv/a_-b"), dir("/srv/a-b"));
}

#[test]
fn a_restart_needs_only_the_data_dir() {
    let config = resolve(&["--data-dir=/d"], &machine(), Some(&old())).unwrap();
    assert_eq!(config.ipc_socket, "/srv/old.sock");
    assert_eq!(config.listen, Listen::At("10.0.0.7:9601".into()));
    assert_eq!(
        (config.size_bytes, config.ipc_socket_mode, config.rpc),
        (1 << 30, 0o600, false)
    );
}

#[test]
fn a_flag_beats_a_variable_beats_what_is_remembered() {
    let mut machine = machine();
    machine
        .variables
        .insert("VINEYARD_SIZE".into(), "2G".into());
    machine
        .variables
        .insert("VINEYARD_SOCKET".into(), "/srv/env.sock".into());
    machine
        .variables
        .insert("VINEYARD_LISTEN".into(), "10.9.9.9".into());
    let config = resolve(
        &["--data-dir=/d", "--size=3G", "--rpc"],
        &machine,
        Some(&old()),
    )
    .unwrap();
    assert_eq!(config.size_bytes, 3 << 30);
    assert_eq!(config.ipc_socket, "/srv/env.sock");
    assert_eq!(config.listen, Listen::At("10.9.9.9:9600".into()));
    assert_eq!((config.rpc, config.ipc_socket_mode), (true, 0o600));
    machine
        .variables
        .insert("VINEYARD_SIZE".into(), "lots".into());
    let refused = resolve(&[], &machine, None);
    assert!(matches!(
        refused,
        Err(ConfigError::BadVariable {
            name: "VINEYARD_SIZE",
            ..
        })
    ));
}

#[test]
fn tcp_is_open_to_anyone_only_if_the_operator_says_so() {
    let open = |args: &[&str], machine: &Machine, old: Option<&Remembered>| {
        resolve(args, machine, old).map(|config| config.rpc_open_to_anyone)
    };
    let flag = &["--rpc-open-to-anyone"][..];
    assert_eq!(open(&[], &machine(), None), Ok(false));
    assert_eq!(open(flag, &machine(), None), Ok(true));
    let remembered = Remembered::of(&resolve(flag, &machine(), None).unwrap(), None);
    assert_eq!(open(&[], &machine(), Some(&remembered)), Ok(true));
    let closed = &["--norpc_open_to_anyone"][..];
    assert_eq!(open(closed, &machine(), Some(&remembered)), Ok(false));
    let name = "VINEYARD_RPC_OPEN_TO_ANYONE";
    let mut machine = machine();
    machine.variables.insert(name.into(), "true".into());
    assert_eq!(open(&[], &machine, None), Ok(true));
    assert_eq!(open(closed, &machine, None), Ok(false));
    machine.variables.insert(name.into(), "perhaps".into());
    let refused = open(&[], &machine, None);
    assert!(matches!(refused, Err(ConfigError::BadVariable { .. })));
}

#[test]
fn listen_and_the_released_port_flag_agree() {
    let listen = |args: &[&str]| resolve(args, &machine(), None).map(|config| config.listen);
    assert_eq!(
        listen(&["--rpc_socket_port=9700"]),
        Ok(Listen::Auto { port: 9700 })
    );
    assert_eq!(listen(&["--listen=:0"]), Ok(Listen::Auto { port: 0 }));
    assert_eq!(
        listen(&["--listen=10.0.0.2"]),
        Ok(Listen::At("10.0.0.2:9600".into()))
    );
    for everywhere in ["0.0.0.0", "0.0.0.0:9600", "[::]:9600", "[::]", "::"] {
        let refused = listen(&["--listen", everywhere]);
        let everywhere = ConfigError::ListenEverywhere {
            listen: everywhere.into(),
        };
        assert_eq!(refused, Err(everywhere));
    }
    assert_eq!(
        listen(&["--listen=h", "--rpc_socket_port=1"]),
        Ok(Listen::At("h:1".into()))
    );
    let two = ConfigError::TwoPorts {
        listen: 2,
        rpc_socket_port: 1,
    };
    assert_eq!(listen(&["--listen=h:2", "--rpc_socket_port=1"]), Err(two));
    assert!(matches!(
        listen(&["--listen=h:x"]),
        Err(ConfigError::BadListen { .. })
    ));
    let moved = resolve(&["--rpc_socket_port=5"], &machine(), Some(&old())).unwrap();
    assert_eq!(moved.listen, Listen::At("10.0.0.7:5".into()));
}

#[test]
fn joining_needs_a_token_and_a_token_a_cluster() {
    assert_eq!(
        resolve(&["--join=a:1"], &machine(), None),
        Err(ConfigError::NoToken)
    );
    assert_eq!(
        resolve(&["--token=t"], &machine(), None),
        Err(ConfigError::NoJoin)
    );
    let founder = ["--data-dir=/d", "--found", "--token=t"];
    let founder = resolve(&founder, &machine(), None).unwrap();
    assert_eq!(founder.founding_token.as_deref(), Some("t"));
    let begun = Remembered::of(&founder, None);
    let again = resolve(&["--data-dir=/d"], &machine(), Some(&begun)).unwrap();
    assert_eq!(again.founding_token.as_deref(), Some("t"));
    let done = begun.of_node(Some("n0".to_owned()));
    assert_eq!(done.founding_token, None, "the identity has it");
    let config = resolve(&["--join=a:1,b:2", "--token=t"], &machine(), None).unwrap();
    let join = Join {
        endpoints: vec!["a:1".into(), "b:2".into()],
        token: "t".into(),
    };
    assert_eq!(config.join, Some(join.clone()));
    let remembered = Remembered::of(&config, None);
    let again = resolve(&["--data-dir=/d"], &machine(), Some(&remembered)).unwrap();
    assert_eq!(
        again.join,
        Some(join),
        "a join that was begun is not forgotten"
    );
    let mut machine = machine();
    machine
        .variables
        .insert("VINEYARD_TOKEN".into(), "t".into());
    assert_eq!(resolve(&[], &machine, None).unwrap().join, None);
}

#[test]
fn a_node_that_is_told_where_others_dial_it_may_listen_everywhere() {
    let told = |args: &[&str], old: Option<&Remembered>| {
        let config = resolve(args, &machine(), old)?;
        Ok((config.listen, config.advertise))
    };
    let at =
        |listen: &str, advertise: &str| Ok((Listen::At(listen.into()), Some(advertise.to_owned())));
    for (listen, bound) in [
        ("0.0.0.0", "0.0.0.0:9600"),
        ("0.0.0.0:0", "0.0.0.0:0"),
        ("[::]", "[::]:9600"),
        ("::", "[::]:9600"),
        ("[::]:1", "[::]:1"),
        ("[::1]:1", "[::1]:1"),
    ] {
        let args = ["--listen", listen, "--advertise=a.b:7"];
        assert_eq!(told(&args, None), at(bound, "a.b:7"), "{listen}");
    }
    let args = ["--data-dir=/d", "--listen=0.0.0.0", "--advertise=a"];
    let config = resolve(&args, &machine(), None).unwrap();
    let old = Remembered::of(&config, Some("0.0.0.0:9600"));
    let restarted = told(&["--data-dir=/d"], Some(&old));
    assert_eq!(restarted, at("0.0.0.0:9600", "a"));
    let refused = told(&["--data-dir=/d", "--advertise="], Some(&old));
    let everywhere = ConfigError::ListenEverywhere {
        listen: "0.0.0.0:9600".into(),
    };
    assert_eq!(refused, Err(everywhere));
    let mut machine = machine();
    machine
        .variables
        .insert("VINEYARD_ADVERTISE".into(), "c:1".into());
    let config = resolve(&[], &machine, None).unwrap();
    assert_eq!(config.advertise.as_deref(), Some("c:1"));
}

#[test]
fn what_join_names_is_remembered_until_another_join_replaces_it() {
    let config = resolve(&["--join=a:1,b:2", "--token=t"], &machine(), None).unwrap();
    assert_eq!(config.seeds, ["a:1", "b:2"]);
    let node = Some("n1 of cluster c".to_owned());
    let joined = Remembered::of(&config, Some("h:1")).of_node(node);
    let seeds = |args: &[&str], old: &Remembered| {
        let mut all = vec!["--data-dir=/d"];
        all.extend(args);
        resolve(&all, &machine(), Some(old)).map(|config| config.seeds)
    };
    assert_eq!(seeds(&[], &joined), Ok(config.seeds.clone()));
    // A member needs no token to be told other seeds, also if it founded the cluster.
    let replaced = vec!["c:3".to_owned()];
    assert_eq!(seeds(&["--join=c:3"], &joined), Ok(replaced.clone()));
    let mut founder = joined.clone();
    founder.join = None;
    assert_eq!(seeds(&["--join=c:3"], &founder), Ok(replaced));
    let mut earlier_build = joined;
    earlier_build.seeds = Vec::new();
    assert_eq!(seeds(&[], &earlier_build), Ok(config.seeds));
}

#[test]
fn a_token_comes_from_one_place() {
    let told = |args: &[&str]| {
        let flags = Flags::parse(args.iter().copied(), &|_| unreachable!()).unwrap();
        token_file(&flags, &machine())
    };
    assert_eq!(
        told(&["--token-file=t"]),
        Ok(Some(machine().current_dir.join("t")))
    );
    assert_eq!(told(&["--token=t"]), Ok(None));
    let both = told(&["--token=t", "--token-file=t"]);
    assert_eq!(both, Err(ConfigError::TwoTokens));
    let mut machine = machine();
    let variables = &mut machine.variables;
    variables.insert("VINEYARD_TOKEN_FILE".into(), "/t".into());
    let filled = |args: &[&str], machine: &Machine| {
        let flags = Flags::parse(args.iter().copied(), &|_| unreachable!()).unwrap();
        let flags = with_variables(flags, machine).unwrap();
        (flags.token, flags.token_file)
    };
    assert_eq!(filled(&[], &machine), (None, None));
    let joins = filled(&["--join=a:1"], &machine);
    assert_eq!(joins, (None, Some("/t".into())));
    let variables = &mut machine.variables;
    variables.insert("VINEYARD_TOKEN".into(), "v".into());
    let joins = filled(&["--join=a:1"], &machine);
    assert_eq!(joins, (Some("v".into()), None));
    let joins = filled(&["--join=a:1", "--token-file=f"], &machine);
    assert_eq!(joins, (None, Some("f".into())));
}

#[test]
fn a_directory_that_was_named_founds_only_by_word() {
    let founds =
        |args: &[&str], old: Option<&Remembered>| resolve(args, &machine(), old).map(|c| c.found);
    assert_eq!(founds(&[], None), Ok(true), "the first run is one word");
    assert_eq!(founds(&["--socket=/s"], None), Ok(true));
    assert_eq!(founds(&["--data-dir=/d"], None), Ok(false));
    assert_eq!(founds(&["--data-dir=/d", "--found"], None), Ok(true));
    let begun = resolve(&["--data-dir=/d", "--found"], &machine(), None).unwrap();
    let begun = Remembered::of(&begun, None);
    assert_eq!(founds(&["--data-dir=/d"], Some(&begun)), Ok(true));
    let both = founds(&["--found", "--join=a:1", "--token=t"], None);
    assert_eq!(both, Err(ConfigError::FoundAndJoin));
}

#[test]
fn a_cluster_is_expected_by_those_that_join_until_they_are_members() {
    let expect = |args: &[&str], old: Option<&Remembered>| {
        resolve(args, &machine(), old).map(|config| config.expect)
    };
    let line = ["--join=a:1,b:2,c:3", "--expect=3", "--token=t"];
    assert_eq!(expect(&line, None), Ok(Some(3)));
    let alone = expect(&["--expect=3"], None);
    assert_eq!(alone, Err(ConfigError::ExpectWithoutJoin));
    let begun = Remembered::of(&resolve(&line, &machine(), None).unwrap(), None);
    assert_eq!(expect(&[], Some(&begun)), Ok(Some(3)), "a restart goes on");
    let joins = expect(&["--join=a:1"], Some(&begun));
    assert_eq!(joins, Ok(None), "--join alone never founds");
    let member = begun.of_node(Some("n0 of c".to_owned()));
    assert_eq!(expect(&[], Some(&member)), Ok(None));
    assert_eq!(expect(&["--expect=3"], Some(&member)), Ok(Some(3)));
}

#[test]
fn a_socket_path_that_the_system_would_cut_is_refused() {
    let path = format!("/srv/{}", "x".repeat(110));
    let refused = resolve(&["--socket", &path], &machine(), None);
    assert!(matches!(
        refused,
        Err(ConfigError::SocketPath { bytes: 115, .. })
    ));
}
