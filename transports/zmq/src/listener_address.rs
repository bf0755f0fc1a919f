//! The address of a listener, taken apart, and the password that the listener asks for.

use hoptree_core::{Address, NONCE_BYTES, Nonce, Secret};
use hoptree_zmtp::Endpoint;

/// What the address of a listener says: `tcp://127.0.0.1:PORT/NONCE` or `ipc:///PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerAddress {
    endpoint: Endpoint,
    /// None for a Unix socket, to which nobody but this user can connect.
    nonce: Option<Nonce>,
}

impl ListenerAddress {
    pub(crate) fn guarded(endpoint: Endpoint, nonce: Nonce) -> ListenerAddress {
        ListenerAddress { endpoint, nonce: Some(nonce) }
    }

    /// None for what no listener of this crate says.
    pub(crate) fn parse(address: &Address) -> Option<ListenerAddress> {
        if let Some(endpoint @ Endpoint::Ipc(_)) = Endpoint::from_address(address) {
            return Some(ListenerAddress { endpoint, nonce: None });
        }
        let (endpoint, nonce) = address.0.rsplit_once('/')?;
        let endpoint = Endpoint::from_address(&Address(endpoint.to_owned()))?;
        let nonce = Nonce::from_digits(nonce)?;
        matches!(endpoint, Endpoint::Tcp(_)).then(|| ListenerAddress::guarded(endpoint, nonce))
    }

    pub(crate) fn address(&self) -> Address {
        match self.nonce {
            Some(nonce) => Address(format!("{}/{nonce}", self.endpoint)),
            None => Address(self.endpoint.to_string()),
        }
    }

    /// What libzmq is told.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn into_endpoint(self) -> Endpoint {
        self.endpoint
    }

    /// What the listener asks for, if it does.
    pub(crate) fn password(&self, secret: Secret) -> Option<String> {
        self.nonce.map(|nonce| password(nonce, secret))
    }
}

/// A nonce for a new listener.
pub(crate) fn draw() -> Result<Nonce, getrandom::Error> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Nonce::new(bytes))
}

/// The password of the listener with this nonce, in hexadecimal digits, since libzmq takes text.
pub(crate) fn password(nonce: Nonce, secret: Secret) -> String {
    let key = secret.key("zmq", nonce.bytes());
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = Secret::new(&[1; 32]);

    fn parsed(text: &str) -> Option<ListenerAddress> {
        ListenerAddress::parse(&Address(text.to_owned()))
    }

    #[test]
    fn an_address_survives_being_taken_apart() {
        for text in ["tcp://127.0.0.1:4711/000000000000000000000000000000fe", "ipc:///tmp/socket"] {
            assert_eq!(parsed(text).unwrap().address(), Address(text.to_owned()));
        }
    }

    #[test]
    fn a_port_without_a_nonce_is_no_address() {
        for text in [
            "tcp://127.0.0.1:4711",
            "tcp://127.0.0.1:4711/",
            "tcp://127.0.0.1:4711/fe",
            "tcp://127.0.0.1:4711/0000000000000000000000000000000FE",
            "tcp://127.0.0.1:4711/+00000000000000000000000000000fe",
            "tcp://10.0.0.1:4711/000000000000000000000000000000fe",
            "ipc:///tmp/\0/000000000000000000000000000000fe",
            "/000000000000000000000000000000fe",
            "",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn each_nonce_and_secret_has_a_password_of_its_own() {
        let [one, other] = [1, 2].map(|byte| Nonce::new([byte; NONCE_BYTES]));
        assert_eq!(password(one, SECRET), password(one, SECRET));
        assert_eq!(password(one, SECRET).len(), 64);
        assert_ne!(password(one, SECRET), password(other, SECRET));
        assert_ne!(password(one, SECRET), password(one, Secret::new(&[2; 32])));
        assert_ne!(draw().unwrap(), draw().unwrap());
    }
}
