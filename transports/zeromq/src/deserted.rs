//! Whether anybody listens somewhere, which the library does not tell: it tries again.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use hoptree_zmtp::Endpoint;
use tokio::net::TcpStream;

/// Whether it is certain that nobody listens there.
pub(crate) async fn is_deserted(place: &Endpoint) -> bool {
    let refusal = match place {
        // A socket that listens for streams answers that it is of another type than one for
        // datagrams, and does not notice.
        Endpoint::Ipc(path) => {
            UnixDatagram::unbound().and_then(|socket| socket.connect(path)).err()
        }
        Endpoint::Tcp(at) => TcpStream::connect(*at).await.err(),
    };
    refusal.is_some_and(|error| {
        matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
    })
}
