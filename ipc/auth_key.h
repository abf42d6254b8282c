// The secret that the processes of one tree share, and by which they know each other on a connection.
//
//   BROOD_ASSIGN_OR_RETURN(const AuthKey key, CurrentAuthKey());
//   BROOD_ASSIGN_OR_RETURN(Connection connection, DialAuthenticated(address, key));
//
// A child has its parent's key: under fork by inheritance, else from its preparation data, which travels over a
// private descriptor. The key is never part of a command line, an environment, a file, an error or a log: AuthKey has
// no stream operator, and putting one into a message does not compile.
#ifndef BROOD_IPC_AUTH_KEY_H_
#define BROOD_IPC_AUTH_KEY_H_

#include <array>
#include <cstddef>
#include <iosfwd>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "serialization/codec.h"

namespace brood {

class AuthKey {
 public:
  static constexpr size_t kMinBytes = 16;
  static constexpr size_t kMaxBytes = 64;

  // 32 bytes from the kernel.
  static absl::StatusOr<AuthKey> Generate();

  // A key that was agreed upon elsewhere; `bytes` must be as good as random. Errors: InvalidArgument (shorter than
  // kMinBytes, so that an empty key is never taken for "no key needed"; longer than kMaxBytes).
  static absl::StatusOr<AuthKey> FromBytes(std::string_view bytes);

  AuthKey(const AuthKey&) = default;
  AuthKey& operator=(const AuthKey&) = default;
  ~AuthKey();  // Overwrites the bytes.

  // Borrowed. For the MAC and for preparation data; for nothing else.
  std::string_view secret_bytes() const { return std::string_view(bytes_.data(), size_); }

  friend bool operator==(const AuthKey& a, const AuthKey& b);  // In constant time.
  friend std::ostream& operator<<(std::ostream&, const AuthKey&) = delete;

 private:
  AuthKey() = default;

  std::array<char, kMaxBytes> bytes_ = {};
  size_t size_ = 0;
};

// A key does not travel in messages: preparation data is the only way.
template <>
struct Codec<AuthKey>;

// This process's key: the one that was set last, else one that is generated now and kept. Thread-safe, also in a child
// that was forked while another thread was here. Errors: those of getrandom(2).
absl::StatusOr<AuthKey> CurrentAuthKey();

// Replaces it, for connections and children that come later. Thread-safe.
void SetCurrentAuthKey(const AuthKey& key);

}  // namespace brood

#endif  // BROOD_IPC_AUTH_KEY_H_
