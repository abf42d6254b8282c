// What a client and its worker say to each other, over a stream socket that the worker uses with read(2) and write(2), since those
// are the calls that every policy allows.
//
//   client -> worker   JobRequest | target's name | its signature | arguments
//   worker -> client   JobReply | body
#ifndef BROOD_LAUNCHER_JOBS_PROTOCOL_H_
#define BROOD_LAUNCHER_JOBS_PROTOCOL_H_

#include <cstdint>

namespace brood::internal {

inline constexpr uint32_t kJobMagic = 0x314a5242;  // "BRJ1" as it lies in memory.
inline constexpr uint64_t kMaxJobBytes = uint64_t{64} << 20;

struct JobRequest {
  uint32_t magic = kJobMagic;
  uint32_t name_bytes = 0;
  uint32_t signature_bytes = 0;
  uint32_t unused = 0;
  uint64_t argument_bytes = 0;
};

enum class JobReplyKind : uint32_t {
  kReady = 1,    // The worker is there.
  kResult = 2,   // The body is as of a call of an executor's: see TakeResult.
  kRetired = 3,  // The worker takes no more jobs: the body says why.
};

struct JobReply {
  uint32_t magic = kJobMagic;
  JobReplyKind kind = JobReplyKind::kResult;
  uint64_t body_bytes = 0;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_PROTOCOL_H_
