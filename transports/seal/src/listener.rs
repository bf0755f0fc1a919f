//! A listener whose links are sealed, as its address names it.

use hoptree_core::{Address, KEY_BYTES, NONCE_BYTES, Nonce, Secret};

/// What stands between the address of the transport below and the nonce.
const SEPARATOR: char = '#';

/// A listener whose links are sealed.
///
/// Its address is that of the transport below with a nonce behind it. So who connects knows that the
/// link must be sealed, and what was said to one listener is good for no other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    address: Address,
    nonce: Nonce,
}

impl Listener {
    /// A new one, above the listener that is at `below`.
    pub(crate) fn above(below: &Address) -> Result<Listener, getrandom::Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let nonce = Nonce::new(nonce);
        let address = format!("{}{SEPARATOR}{nonce}", below.0);
        Ok(Listener { address: Address(address), nonce })
    }

    /// The one that this address names; none when nobody seals there.
    pub(crate) fn named(address: &Address) -> Option<Listener> {
        let (_, digits) = address.0.rsplit_once(SEPARATOR)?;
        let nonce = Nonce::from_digits(digits)?;
        Some(Listener { address: address.clone(), nonce })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The address for the transport below.
    pub(crate) fn below(&self) -> Address {
        let parts = self.address.0.rsplit_once(SEPARATOR);
        let (below, _) = parts.expect("the address of a listener has a nonce");
        Address(below.to_owned())
    }

    /// The key that both ends of its handshakes must have. It is good for this listener alone, so
    /// that what memory keeps of it gives nothing else away.
    pub(crate) fn key(&self, secret: Secret) -> [u8; KEY_BYTES] {
        secret.key("seal", self.nonce.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE_DIGITS: usize = 2 * NONCE_BYTES;

    #[test]
    fn an_address_names_its_listener() {
        let below = Address("tcp://127.0.0.1:5555/0123#4567".to_owned());
        let listener = Listener::above(&below).unwrap();
        assert_eq!(Listener::named(listener.address()), Some(listener.clone()));
        assert_eq!(listener.below(), below);
        assert_ne!(Listener::above(&below).unwrap(), listener, "each has a nonce of its own");
    }

    #[test]
    fn other_addresses_name_none() {
        let sign = format!("tcp://1#+{}", "0".repeat(NONCE_DIGITS - 1));
        let capital = format!("tcp://1#{}", "A".repeat(NONCE_DIGITS));
        let short = format!("tcp://1#{}", "0".repeat(NONCE_DIGITS - 1));
        let wide = format!("tcp://1#{}", "\u{e9}".repeat(NONCE_DIGITS / 2));
        for text in ["", "#", "tcp://127.0.0.1:5555", &sign, &capital, &short, &wide] {
            assert_eq!(Listener::named(&Address(text.to_owned())), None, "{text}");
        }
    }
}
