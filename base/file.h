// Files that brood itself reads and writes: job files, journals, results, reports. One seam for both systems.
//
//   BROOD_ASSIGN_OR_RETURN(const UniqueFd file, OpenToAppend("results.jsonl"));
//   BROOD_RETURN_IF_ERROR(WriteAll(file.get(), "results.jsonl", line));
//
// No descriptor goes to children. `name` is for messages. Errors: what the system says, with the operation and the name.
// Thread-safe, but for two that use one descriptor at once.
#ifndef BROOD_BASE_FILE_H_
#define BROOD_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "base/untrusted_directories.h"

namespace brood {

// A regular file, a directory, the null device or a pipe without a name. Does not wait. Errors, besides: FailedPrecondition (a FIFO or
// a device, which may keep a reader waiting for ever, or never end).
absl::StatusOr<UniqueFd> OpenToRead(const std::string& path);
// Created or emptied. In `untrusted` directories no link is followed (base/given_file.h). Linux.
absl::StatusOr<UniqueFd> OpenToReplace(const std::string& path, const UntrustedDirectories& untrusted = {});
// Created or kept; may be read as well, but for a FIFO. On Windows it writes at the end as long as nobody else does. Errors, besides:
// FailedPrecondition (a FIFO that nobody reads).
absl::StatusOr<UniqueFd> OpenToAppend(const std::string& path, const UntrustedDirectories& untrusted = {});

// The standard streams; borrowed.
int StandardInput();
int StandardOutput();

struct FileFacts {
  bool regular = false;  // Neither a pipe nor a terminal nor a device.
  uint64_t bytes = 0;
  std::pair<uint64_t, uint64_t> identity;  // The same for all names of one file.
};
absl::StatusOr<FileFacts> FactsOf(int file, std::string_view name);
// Without opening it for anything.
absl::StatusOr<FileFacts> FactsAt(const std::string& path);

// How many bytes came; 0 at the end. ReadAt leaves the place where the next read or write is alone.
absl::StatusOr<size_t> ReadSome(int file, char* to, size_t size, std::string_view name);
absl::StatusOr<size_t> ReadAt(int file, uint64_t offset, char* to, size_t size, std::string_view name);

// One write: how many bytes of `text` were taken.
absl::StatusOr<size_t> WriteSome(int file, std::string_view text, std::string_view name);
absl::Status WriteAll(int file, std::string_view name, std::string_view text);

absl::Status Truncate(int file, uint64_t bytes, std::string_view name);
// The next read is from the beginning.
absl::Status ToBeginning(int file, std::string_view name);

// What was written survives the machine's fall; that of a directory: the names of what is in it.
absl::Status Sync(int file, std::string_view name);
absl::Status SyncDirectoryOf(const std::string& path);

// A lock that ends with its descriptor, and so with its process. It binds nobody who does not ask for it. False: another
// holds it.
absl::StatusOr<bool> TryLock(int file, std::string_view name);
absl::StatusOr<bool> IsLocked(int file, std::string_view name);

}  // namespace brood

#endif  // BROOD_BASE_FILE_H_
