//! How long a client is waited for.

use super::*;
use tokio::time::advance;

const IDLE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn nobody_is_given_up_who_was_not_asked() {
    // A write may have taken so long before the first look.
    for silent in [IDLE / 2, IDLE, IDLE * 3] {
        let mut client = Client::new(1024, IDLE);
        assert_eq!(client.look().ok(), Some(Instant::now() + IDLE / 2));
        assert_eq!(client.socket.take_answers(), "", "it was heard just now");
        advance(silent).await;
        assert_eq!(client.look().ok(), Some(Instant::now() + IDLE / 2), "{silent:?}");
        assert_eq!(client.socket.take_answers(), &b"\x89\0"[..]);
        advance(IDLE / 2).await;
        assert!(matches!(client.look(), Err(Parting::ByUs(Close { reason: Reason::RequestTimeout, .. }))));
    }
}
