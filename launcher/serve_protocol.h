// What a client and `brood serve` say to each other. A connection (SOCK_SEQPACKET) is for one child, and the child's life:
//
//   client                                    server
//   kAskPolicy                       ──▶
//                                    ◀──      kPolicy: EncodePolicy of its own           (as often as wanted, or never)
//   kAskStatus                       ──▶
//                                    ◀──      kStatus: EncodeServeStatus (serve/status.h)                   (likewise)
//   kLaunch: RemoteLaunch, fds       ──▶
//                                    ◀──      on `control`: GuardianReport kInitBorn, then kStarted, as from a guardian
//   on `control`: GuardianCommand    ──▶
//                                    ◀──      kOutcome: EncodeOutcome
//
// Instead of these there may come kRefused, and then the end. The end of either socket ends the child. Records
// are those of forkserver/request.h. Nothing that the server does waits for the client.
#ifndef BROOD_LAUNCHER_SERVE_PROTOCOL_H_
#define BROOD_LAUNCHER_SERVE_PROTOCOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"

namespace brood::internal {

// The tag of a record: which protocol, which version of it, what it is.
struct ServeTag {
  enum class Kind : uint16_t { kAskPolicy = 1, kPolicy = 2, kLaunch = 3, kOutcome = 4, kRefused = 5, kAskStatus = 6, kStatus = 7 };
  static constexpr uint16_t kVersion = 1;
  Kind kind = Kind::kRefused;
  uint16_t version = kVersion;

  uint64_t Encode() const { return kMark << 32 | uint64_t{version} << 16 | static_cast<uint16_t>(kind); }
  // Nothing if it is of no version of this protocol.
  static std::optional<ServeTag> Decode(uint64_t tag) {
    if (tag >> 32 != kMark) return std::nullopt;
    return ServeTag{.kind = static_cast<Kind>(tag & 0xffff), .version = static_cast<uint16_t>(tag >> 16)};
  }
  static constexpr uint64_t kMark = 0x56535242;  // "BRSV"
};

// Where one of the child's streams leads. Descriptors are borrowed.
struct RemoteStream {
  int fd = -1;
  bool keeps = false;
  uint64_t keep_bytes = 0;
  bool merged = false;
};

struct RemoteLimit {
  uint32_t resource = 0;
  uint64_t soft = 0;
  uint64_t hard = 0;
};

struct RemoteLaunch {
  std::string name;
  std::vector<std::string> argv;  // Empty: a function.
  int message = -1;
  int result = -1;
  std::optional<std::string> policy;
  std::vector<std::string> environment;
  std::string cwd;
  bool cwd_optional = false;
  bool wait_for_tree = false;
  bool fresh = false;
  bool violation_stack = false;
  RemoteStream streams[3];
  std::vector<InheritedFd> inherited;
  int control = -1;
  std::string template_path;
  std::optional<uint32_t> file_mask;
  std::optional<int> nice;
  std::vector<RemoteLimit> limits;

  bool is_function() const { return argv.empty(); }
};

struct EncodedRemoteLaunch {
  std::string bytes;
  std::vector<int> fds;  // Borrowed, as in the launch.
};

EncodedRemoteLaunch EncodeRemoteLaunch(const RemoteLaunch& launch);

// `fds` are those that came with the bytes. Checks the form, not what is asked for. Errors: InvalidArgument naming the field.
absl::StatusOr<RemoteLaunch> DecodeRemoteLaunch(std::string_view bytes, const std::vector<UniqueFd>& fds);

// The bytes of kRefused.
std::string EncodeRefusal(const absl::Status& status);
absl::Status DecodeRefusal(std::string_view bytes);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SERVE_PROTOCOL_H_
