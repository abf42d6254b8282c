// Two ends of a connection prove to each other that they know the same key, without showing it.
//
//   listener:  version, digest, 32 random bytes L             (hello)
//   dialer:    32 random bytes D, HMAC(key, "... dialer" L D)
//   listener:  HMAC(key, "... listener" L D), or a refusal
//
// The version, the digest's name and the role are part of what is authenticated: nothing can be downgraded, an answer
// is good for one challenge only, and what one role says is worth nothing in the mouth of the other, so that a peer
// cannot send us our own words back. The listener proves nothing to a dialer that has not.
//
// It proves who is at the other end now, and protects neither secrecy nor what follows: a process that can stand
// between the two ends can relay the proofs. Unix sockets have nobody in between, if the path is in a folder of one's
// own.
//
// AcceptAuthenticated and DialAuthenticated (listener.h, dial.h) do this; here it is for connections made otherwise.
#ifndef BROOD_IPC_AUTHENTICATE_H_
#define BROOD_IPC_AUTHENTICATE_H_

#include <array>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ipc/auth_key.h"
#include "ipc/connection.h"

namespace brood {

// One end must take the one role, the other the other. After an error, close the connection.
//
// Errors: Unauthenticated (the peer has another key, or does not speak this protocol, or has closed),
//   DeadlineExceeded (the peer is silent), FailedPrecondition (the connection is closed, or one-way).
absl::Status AuthenticateAsListener(Connection& connection, const AuthKey& key,
                                    absl::Duration timeout = absl::Seconds(20));
absl::Status AuthenticateAsDialer(Connection& connection, const AuthKey& key,
                                  absl::Duration timeout = absl::Seconds(20));

namespace internal {

// The listener's part, for one who has several connections in hand at once.
class ListenerHandshake {
 public:
  explicit ListenerHandshake(const AuthKey& key) : key_(key) {}

  // Sends the challenge.
  absl::Status Begin(Connection& connection);

  // Takes the answer. False: it has not come within `timeout`, call again. Errors: Unauthenticated; the peer, if it is
  // still there, has been told.
  absl::StatusOr<bool> Continue(Connection& connection, absl::Duration timeout);

 private:
  AuthKey key_;
  std::array<char, 32> challenge_ = {};
};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_IPC_AUTHENTICATE_H_
