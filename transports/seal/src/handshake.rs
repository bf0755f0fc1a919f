//! How two ends prove to each other that they know the secret of the tree, and agree on keys.

use hoptree_core::Secret;
use snow::params::NoiseParams;
use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, Error, HandshakeState, StatelessTransportState};

use crate::channel::Channel;
use crate::listener::Listener;

/// Who connects sends a greeting, and who listens a reply. Each has a fresh public key and
/// shows that its sender has the key of the listener.
const PATTERN: &str = "Noise_NNpsk0_25519_AESGCM_BLAKE2s";

/// What both ends must agree on, beside the listener's address.
const PROTOCOL: &str = concat!("hoptree ", env!("CARGO_PKG_VERSION"), ", seal 1, ");

/// How long both messages are: a public key and a tag.
pub(crate) const MESSAGE_BYTES: usize = 48;

/// A greeting or a reply.
pub(crate) type Message = [u8; MESSAGE_BYTES];

/// A handshake that was begun here: the greeting is out, and the reply awaited.
pub(crate) struct Asking(HandshakeState);

impl Asking {
    /// A handshake with a listener, and the greeting for it.
    pub(crate) fn begin(listener: &Listener, secret: Secret) -> Result<(Asking, Message), Error> {
        let mut state = begun(listener, secret, Side::Connects)?;
        let mut greeting = [0; MESSAGE_BYTES];
        state.write_message(&[], &mut greeting)?;
        Ok((Asking(state), greeting))
    }

    /// The link, if that was the reply.
    pub(crate) fn finish(mut self, reply: &[u8]) -> Result<Channel, Error> {
        read(&mut self.0, reply)?;
        StatelessTransportState::try_from(self.0).map(Channel::new)
    }
}

/// The link that a greeting asks for, and the reply to it, if it knows the key of this listener.
///
/// Whether it was sent just now or repeated shows only with the first sealed frame.
pub(crate) fn answer(
    listener: &Listener,
    secret: Secret,
    greeting: &[u8],
) -> Result<(Channel, Message), Error> {
    let mut state = begun(listener, secret, Side::Listens)?;
    read(&mut state, greeting)?;
    let mut reply = [0; MESSAGE_BYTES];
    state.write_message(&[], &mut reply)?;
    Ok((Channel::new(StatelessTransportState::try_from(state)?), reply))
}

/// Which end of a handshake this is.
#[derive(Clone, Copy)]
enum Side {
    Connects,
    Listens,
}

fn begun(listener: &Listener, secret: Secret, side: Side) -> Result<HandshakeState, Error> {
    let pattern: NoiseParams = PATTERN.parse()?;
    // ring has the fast cipher, and not the rest.
    let resolver = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
    let prologue = [PROTOCOL.as_bytes(), listener.address().0.as_bytes()].concat();
    let key = listener.key(secret);
    let builder = Builder::with_resolver(pattern, Box::new(resolver));
    let builder = builder.prologue(&prologue)?.psk(0, &key)?;
    match side {
        Side::Connects => builder.build_initiator(),
        Side::Listens => builder.build_responder(),
    }
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Result<(), Error> {
    if message.len() != MESSAGE_BYTES {
        return Err(Error::Input);
    }
    state.read_message(message, &mut []).map(drop)
}

#[cfg(test)]
mod tests {
    use hoptree_core::Address;

    use super::*;

    const SECRET: Secret = Secret::new(&[7; 32]);

    fn listener() -> Listener {
        Listener::above(&Address("memory:1".to_owned())).unwrap()
    }

    #[test]
    fn who_does_not_know_the_secret_gets_no_reply() {
        let listener = listener();
        let (_, greeting) = Asking::begin(&listener, Secret::new(&[8; 32])).unwrap();
        assert!(answer(&listener, SECRET, &greeting).is_err());
    }

    #[test]
    fn a_greeting_is_good_for_one_listener() {
        let (_, greeting) = Asking::begin(&listener(), SECRET).unwrap();
        assert!(answer(&listener(), SECRET, &greeting).is_err());
    }

    #[test]
    fn a_reply_is_good_for_one_greeting() {
        let listener = listener();
        let [(asking, _), (_, greeting)] =
            [(), ()].map(|()| Asking::begin(&listener, SECRET).unwrap());
        let (_, reply) = answer(&listener, SECRET, &greeting).unwrap();
        assert!(asking.finish(&reply).is_err());
    }

    #[test]
    fn a_listener_of_the_same_nonce_elsewhere_is_another_one() {
        let listener = listener();
        let (_, nonce) = listener.address().0.split_once('#').unwrap();
        let elsewhere = Listener::named(&Address(format!("memory:2#{nonce}"))).unwrap();
        let (_, greeting) = Asking::begin(&listener, SECRET).unwrap();
        assert!(answer(&elsewhere, SECRET, &greeting).is_err());
        assert!(answer(&listener, SECRET, &greeting).is_ok());
    }

    #[test]
    fn a_message_with_any_bit_changed_is_none() {
        let listener = listener();
        let (_, greeting) = Asking::begin(&listener, SECRET).unwrap();
        for bit in 0..8 * MESSAGE_BYTES {
            let mut changed = greeting;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(answer(&listener, SECRET, &changed).is_err(), "bit {bit}");
            let (asking, greeting) = Asking::begin(&listener, SECRET).unwrap();
            let (_, mut reply) = answer(&listener, SECRET, &greeting).unwrap();
            reply[bit / 8] ^= 1 << (bit % 8);
            assert!(asking.finish(&reply).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_has_another_length_is_no_message() {
        let listener = listener();
        let (_, greeting) = Asking::begin(&listener, SECRET).unwrap();
        for length in 0..MESSAGE_BYTES {
            assert!(answer(&listener, SECRET, &greeting[..length]).is_err(), "{length} bytes");
        }
        assert!(answer(&listener, SECRET, &[&greeting[..], &[0]].concat()).is_err());
        assert!(answer(&listener, SECRET, &[0xff; 65_536]).is_err());
    }
}
