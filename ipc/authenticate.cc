#include "ipc/authenticate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/hmac.h"
#include "base/random.h"
#include "base/status.h"
#include "ipc/connection_access.h"
#include "ipc/deadline.h"

namespace brood {
namespace {

using internal::ConnectionAccess;
using internal::Deadline;

// Each begins its message, and the roles' are what is authenticated before the two challenges. None is the beginning of
// another, and the challenges have a fixed length, so that no two inputs of the MAC look the same.
constexpr std::string_view kHello = "brood-auth-1 sha256 hello:";
constexpr std::string_view kDialer = "brood-auth-1 sha256 dialer:";
constexpr std::string_view kListener = "brood-auth-1 sha256 listener:";
constexpr std::string_view kRefusal = "brood-auth-1 refused";

constexpr size_t kChallengeBytes = 32;

Sha256Digest Proof(const AuthKey& key, std::string_view role, std::string_view listeners, std::string_view dialers) {
  return HmacSha256(key.secret_bytes(), {role, listeners, dialers});
}

// A peer that hangs up, or sends anything but its part, has failed; one that is slow has not yet.
absl::StatusOr<std::string> ReceivePart(Connection& connection, absl::Duration timeout) {
  absl::StatusOr<std::string> part = ConnectionAccess::ReceiveAuth(connection, timeout);
  if (part.ok() || absl::IsDeadlineExceeded(part.status()) || absl::IsFailedPrecondition(part.status())) return part;
  return absl::UnauthenticatedError(absl::StrCat("authenticate: ", part.status().message()));
}

absl::Status SendPart(Connection& connection, std::string_view part, absl::Duration timeout) {
  const absl::Status status = ConnectionAccess::SendAuth(connection, part, timeout);
  if (!absl::IsUnavailable(status)) return status;
  return absl::UnauthenticatedError("authenticate: the peer has closed");
}

}  // namespace

absl::Status internal::ListenerHandshake::Begin(Connection& connection) {
  BROOD_RETURN_IF_ERROR(FillRandom(challenge_.data(), challenge_.size()));
  const std::string hello = absl::StrCat(kHello, std::string_view(challenge_.data(), challenge_.size()));
  return SendPart(connection, hello, absl::ZeroDuration());  // Nothing else is in the socket's buffer.
}

absl::StatusOr<bool> internal::ListenerHandshake::Continue(Connection& connection, absl::Duration timeout) {
  const absl::StatusOr<std::string> answer = ReceivePart(connection, timeout);
  if (absl::IsDeadlineExceeded(answer.status())) return false;
  BROOD_RETURN_IF_ERROR(answer.status());
  std::string_view rest = *answer;
  const bool has_role = absl::ConsumePrefix(&rest, kDialer);
  const std::string_view listeners(challenge_.data(), challenge_.size());
  if (has_role && rest.size() == kChallengeBytes + kSha256Bytes) {
    const std::string_view dialers = rest.substr(0, kChallengeBytes);
    if (EqualInConstantTime(AsBytes(Proof(key_, kDialer, listeners, dialers)), rest.substr(kChallengeBytes))) {
      const Sha256Digest proof = Proof(key_, kListener, listeners, dialers);
      BROOD_RETURN_IF_ERROR(SendPart(connection, absl::StrCat(kListener, AsBytes(proof)), absl::ZeroDuration()));
      return true;
    }
  }
  (void)SendPart(connection, kRefusal, absl::ZeroDuration());  // For the peer's error message; ours is told either way.
  return absl::UnauthenticatedError(has_role ? "authenticate: the peer has another key"
                                             : "authenticate: the peer does not speak this protocol");
}

absl::Status AuthenticateAsListener(Connection& connection, const AuthKey& key, absl::Duration timeout) {
  internal::ListenerHandshake handshake(key);
  BROOD_RETURN_IF_ERROR(handshake.Begin(connection));
  BROOD_ASSIGN_OR_RETURN(const bool done, handshake.Continue(connection, timeout));
  if (!done) return absl::DeadlineExceededError("authenticate: the peer is silent");
  return absl::OkStatus();
}

absl::Status AuthenticateAsDialer(Connection& connection, const AuthKey& key, absl::Duration timeout) {
  const Deadline deadline(timeout);
  BROOD_ASSIGN_OR_RETURN(const std::string hello, ReceivePart(connection, deadline.Left()));
  std::string_view listeners = hello;
  if (!absl::ConsumePrefix(&listeners, kHello) || listeners.size() != kChallengeBytes) {
    return absl::UnauthenticatedError("authenticate: the peer does not speak this protocol");
  }
  char challenge[kChallengeBytes];
  BROOD_RETURN_IF_ERROR(FillRandom(challenge, sizeof(challenge)));
  const std::string_view dialers(challenge, sizeof(challenge));
  const Sha256Digest proof = Proof(key, kDialer, listeners, dialers);
  BROOD_RETURN_IF_ERROR(SendPart(connection, absl::StrCat(kDialer, dialers, AsBytes(proof)), deadline.Left()));
  BROOD_ASSIGN_OR_RETURN(const std::string answer, ReceivePart(connection, deadline.Left()));
  if (answer == kRefusal) return absl::UnauthenticatedError("authenticate: the listener has another key");
  std::string_view theirs = answer;
  if (!absl::ConsumePrefix(&theirs, kListener) ||
      !EqualInConstantTime(AsBytes(Proof(key, kListener, listeners, dialers)), theirs)) {
    return absl::UnauthenticatedError("authenticate: the listener does not prove that it has the key");
  }
  return absl::OkStatus();
}

}  // namespace brood
