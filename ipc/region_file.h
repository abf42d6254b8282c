// The file of a region: its header, its seals, and the descriptors on it.
#ifndef BROOD_IPC_REGION_FILE_H_
#define BROOD_IPC_REGION_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "ipc/region.h"

namespace brood::internal {

struct RegionHeader {
  uint64_t magic;
  uint32_t version;
  RegionKind kind;
  uint64_t size;  // Of the whole file.
  uint64_t payload_offset;
  RegionParameters parameters;
  std::array<uint64_t, 2> random;
  std::atomic<uint64_t> last_id;  // The only field that changes.
};
static_assert(sizeof(RegionHeader) <= Region::kHeaderBytes);

// A sealed file with that header (magic, version and random are filled in here) and zeros behind it.
absl::StatusOr<UniqueFd> CreateRegionFile(RegionHeader& header);

// Copies and checks the header: of a file that cannot shrink, in memory (a file of huge pages could run out of them at
// a touch), whose size is what it says.
absl::Status ReadRegionHeader(int fd, RegionHeader& header);

// Which file it is; false if `fd` is not open.
bool IdentifyFile(int fd, RegionKey& key);

// A description of the same file that only the caller has, through /proc/self/fd.
absl::StatusOr<UniqueFd> Reopen(int fd, Access access);

// The lock by which a member shows that it lives, on the byte at kFirstIdByte + id. False: another has it.
inline constexpr uint64_t kFirstIdByte = uint64_t{1} << 62;  // Where no user of the memory sets locks of its own.
absl::StatusOr<bool> LockId(int fd, uint64_t id);
absl::StatusOr<bool> IdIsLocked(int fd, uint64_t id);

}  // namespace brood::internal

#endif  // BROOD_IPC_REGION_FILE_H_
