// How messages follow each other on a connection. Not for users: Connection is.
//
//   header | type name | body | one byte for each further chunk of descriptors
//
// The first kMaxHandlesPerCall descriptors travel with the header's first byte, each further chunk with its own byte: a
// chunk needs a byte to travel with, and the kernel never merges two of them into one read. unix(7), "SCM_RIGHTS".
#ifndef BROOD_IPC_FRAME_H_
#define BROOD_IPC_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "ipc/stream_io.h"

namespace brood::internal {

enum class FrameKind : uint32_t {
  kBytes = 1,
  kValue = 2,    // Body and descriptors are a TypedValue's.
  kHandles = 3,  // Descriptors only.
  kAuth = 4,     // Part of a handshake.
};

inline constexpr uint32_t kFrameMagic = 0x31435242;  // "BRC1" as it lies in memory.
inline constexpr size_t kMaxTypeNameBytes = size_t{64} << 10;

struct FrameHeader {  // Little-endian, as all that brood writes.
  uint32_t magic = kFrameMagic;
  FrameKind kind = FrameKind::kBytes;
  uint32_t type_bytes = 0;  // Of the name, 0 unless it is a value.
  uint32_t handles = 0;
  uint64_t body_bytes = 0;

  uint64_t HandleChunksAfterFirst() const { return handles == 0 ? 0 : (uint64_t{handles} - 1) / kMaxHandlesPerCall; }
};
static_assert(sizeof(FrameHeader) == 24);

// A message as far as it has come.
struct IncomingFrame {
  FrameHeader header;
  size_t header_bytes = 0;  // How much of the header has come.
  uint64_t rest_bytes = 0;  // How much of all that follows it.
  std::string type;
  std::string body;
  std::vector<UniqueFd> handles;
  bool handles_lost = false;  // The kernel could not give us all of them.
};

}  // namespace brood::internal

#endif  // BROOD_IPC_FRAME_H_
