//! Where one connects to a listener, and the password that it asks for.

use std::fmt;

use hoptree_core::{Address, Secret};
use hoptree_zmtp::Endpoint;

/// How many hexadecimal digits a nonce has.
const NONCE_DIGITS: usize = 32;

/// The way to a listener. Its address is `tcp://127.0.0.1:PORT/NONCE` or `ipc:///PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entrance {
    endpoint: Endpoint,
    /// None for a Unix socket, to which nobody but this user can connect.
    nonce: Option<Nonce>,
}

/// What a listener has drawn at random when it began to listen. Its password is made from it, so
/// whoever listens at the same port later, and is told that password by one who comes too late, can
/// open no other door with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(u128);

impl Entrance {
    pub(crate) fn guarded(endpoint: Endpoint, nonce: Nonce) -> Entrance {
        Entrance { endpoint, nonce: Some(nonce) }
    }

    /// None for what no listener of this crate says.
    pub(crate) fn from_address(address: &Address) -> Option<Entrance> {
        if let Some(endpoint @ Endpoint::Ipc(_)) = Endpoint::from_address(address) {
            return Some(Entrance { endpoint, nonce: None });
        }
        let (endpoint, nonce) = address.0.rsplit_once('/')?;
        let endpoint = Endpoint::from_address(&Address(endpoint.to_owned()))?;
        let nonce = Nonce::from_digits(nonce)?;
        matches!(endpoint, Endpoint::Tcp(_)).then(|| Entrance::guarded(endpoint, nonce))
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
        self.nonce.map(|nonce| nonce.password(secret))
    }
}

impl Nonce {
    pub(crate) fn draw() -> Result<Nonce, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Nonce(u128::from_be_bytes(bytes)))
    }

    fn from_digits(digits: &str) -> Option<Nonce> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let are_digits = digits.len() == NONCE_DIGITS && digits.bytes().all(is_digit);
        are_digits.then(|| u128::from_str_radix(digits, 16).ok()).flatten().map(Nonce)
    }

    /// In hexadecimal digits, since libzmq takes text.
    pub(crate) fn password(self, secret: Secret) -> String {
        let key = secret.key("zmq", &self.0.to_be_bytes());
        key.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0NONCE_DIGITS$x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = Secret::new(&[1; 32]);

    fn entrance(text: &str) -> Option<Entrance> {
        Entrance::from_address(&Address(text.to_owned()))
    }

    #[test]
    fn an_address_leads_back_to_its_entrance() {
        for text in ["tcp://127.0.0.1:4711/000000000000000000000000000000fe", "ipc:///tmp/socket"] {
            assert_eq!(entrance(text).unwrap().address(), Address(text.to_owned()));
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
            assert_eq!(entrance(text), None, "{text:?}");
        }
    }

    #[test]
    fn each_nonce_and_secret_has_a_password_of_its_own() {
        let [one, other] = [1, 2].map(Nonce);
        assert_eq!(one.password(SECRET), one.password(SECRET));
        assert_eq!(one.password(SECRET).len(), 64);
        assert_ne!(one.password(SECRET), other.password(SECRET));
        assert_ne!(one.password(SECRET), one.password(Secret::new(&[2; 32])));
        assert_ne!(Nonce::draw().unwrap(), Nonce::draw().unwrap());
    }
}
