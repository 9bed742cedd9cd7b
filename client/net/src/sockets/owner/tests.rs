//! Both roads to the kernel, with real sockets.

use std::net::TcpListener;
use std::os::fd::AsFd;

use super::*;

/// A connection to `listen` by `dial`: the accepted end and the dialling one.
fn connect(listen: &str, dial: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(listen).unwrap();
    let port = listener.local_addr().unwrap().port();
    let near = TcpStream::connect(format!("{dial}:{port}")).unwrap();
    (listener.accept().unwrap().0, near)
}

fn own() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid()
}

fn sought(stream: &TcpStream) -> Ends {
    Ends::new(stream.peer_addr().unwrap(), stream.local_addr().unwrap())
}

#[test]
fn both_roads_find_the_user_over_each_kind_of_address() {
    for (listen, dial) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("127.0.0.1:0", "[::ffff:127.0.0.1]"),
        ("[::ffff:127.0.0.1]:0", "127.0.0.1"),
        ("[::1]:0", "[::1]"),
    ] {
        let (accepted, _dialled) = connect(listen, dial);
        let ends = sought(&accepted);
        assert_eq!(diag::owner(&ends).unwrap(), Some(own()), "{dial}");
        assert_eq!(table::owner(&ends).unwrap(), Some(own()), "{dial}");
        assert_eq!(of_peer(&accepted).unwrap(), Some(User::Known(own())));
    }
}

#[test]
fn an_end_that_nobody_holds_any_more_is_nobodys() {
    let (accepted, dialled) = connect("127.0.0.1:0", "127.0.0.1");
    let ends = sought(&accepted);
    dialled.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(diag::owner(&ends).unwrap(), Some(own()), "still open");
    // The kernel keeps it, in FIN_WAIT2, and may show it as root's.
    drop(dialled);
    assert_eq!(diag::owner(&ends).unwrap(), None);
    assert_eq!(table::owner(&ends).unwrap(), None);
    assert_eq!(of_peer(&accepted).unwrap(), None);
}

#[test]
fn a_connection_that_was_reset_has_no_user() {
    let (mut accepted, dialled) = connect("127.0.0.1:0", "127.0.0.1");
    rustix::net::sockopt::set_socket_linger(dialled.as_fd(), Some(std::time::Duration::ZERO))
        .unwrap();
    drop(dialled);
    assert!(io::Read::read(&mut accepted, &mut [0]).is_err());
    assert!(of_peer(&accepted).is_err());
}

#[test]
fn a_listener_with_the_port_that_is_sought_is_not_taken_for_the_end() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let far = format!("203.0.113.7:{port}").parse().unwrap();
    let ends = Ends::new(far, "127.0.0.1:9600".parse().unwrap());
    assert_eq!(diag::owner(&ends).unwrap(), None);
    assert_eq!(table::owner(&ends).unwrap(), None);
}

#[test]
fn a_line_of_the_table_is_read() {
    let line = "   7: 0100007F:2580 0100007F:D2A4 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
    let mut listed = table::parse(line).unwrap();
    let ends = Ends::new(
        "127.0.0.1:9600".parse().unwrap(),
        "127.0.0.1:53924".parse().unwrap(),
    );
    assert_eq!(listed.owner(&ends), Some(1000));
    assert_eq!(listed.owner(&ends.reversed()), None);
    for (state, inode) in [(10, 4711), (6, 0), (2, 4711), (1, 0)] {
        (listed.state, listed.inode) = (state, inode);
        assert_eq!(listed.owner(&ends), None, "state {state}, inode {inode}");
    }
    assert_eq!(table::parse("  sl  local_address rem_address st"), None);
}

#[test]
fn only_the_first_user_namespace_has_all_users() {
    assert!(has_all_users("         0          0 4294967295\n"));
    for map in [
        "",
        "0 1000 1",
        "0 0 4294967294",
        "0 100000 65536\n65536 0 1",
    ] {
        assert!(!has_all_users(map), "{map:?}");
    }
}
