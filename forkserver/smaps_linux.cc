#include "forkserver/smaps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/status.h"
#include "base/unique_fd.h"

namespace brood::internal {
namespace {

constexpr char kPath[] = "/proc/self/smaps";

absl::Status Malformed() { return absl::DataLossError("/proc/self/smaps is not as proc(5) describes it"); }

// Takes a number off the front of `text`.
template <typename Number>
bool Take(std::string_view& text, Number& number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

void SkipBlanks(std::string_view& text) { text.remove_prefix(std::min(text.find_first_not_of(' '), text.size())); }

// "7f52e6e00000-7f5326e00000 rw-p 00000000 00:01 38      /memfd:x (deleted)"
bool ParseHead(std::string_view line, Mapping& mapping) {
  if (!Take(line, mapping.start, 16) || !line.starts_with('-')) return false;
  line.remove_prefix(1);
  if (!Take(line, mapping.end, 16) || line.size() < 6 || line[0] != ' ') return false;
  mapping.readable = line[1] == 'r';
  mapping.writable = line[2] == 'w';
  mapping.executable = line[3] == 'x';
  mapping.shared = line[4] == 's';
  line.remove_prefix(6);
  if (!Take(line, mapping.offset, 16)) return false;
  SkipBlanks(line);
  const size_t device_end = std::min(line.find(' '), line.size());
  const size_t inode_end = std::min(line.find(' ', device_end + 1), line.size());
  mapping.file = line.substr(0, inode_end);
  line.remove_prefix(inode_end);
  SkipBlanks(line);
  mapping.name = line;
  return true;
}

bool ParseField(std::string_view key, std::string_view value, Mapping& mapping) {
  SkipBlanks(value);
  uint64_t* kilobytes = nullptr;
  if (key == "Rss") kilobytes = &mapping.rss_bytes;
  if (key == "Anonymous") kilobytes = &mapping.anonymous_bytes;
  if (key == "Swap") kilobytes = &mapping.swap_bytes;
  if (key == "ShmemPmdMapped") kilobytes = &mapping.shmem_huge_bytes;
  if (kilobytes != nullptr) {
    if (!Take(value, *kilobytes, 10) || value != " kB") return false;
    *kilobytes *= 1024;
  }
  if (key == "ProtectionKey") return Take(value, mapping.protection_key, 10);
  if (key == "VmFlags") mapping.flags = value;
  return true;
}

}  // namespace

bool Mapping::Has(std::string_view flag) const {
  for (size_t at = 0; at + 2 <= flags.size(); at += 3) {
    if (flags.substr(at, 2) == flag) return true;
  }
  return false;
}

absl::StatusOr<std::pmr::vector<Mapping>> ParseSmaps(std::string_view text, std::pmr::memory_resource* memory) {
  std::pmr::vector<Mapping> mappings(memory);
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    // Keys begin with a capital letter, addresses never do.
    const size_t colon = line.find(':');
    if (!line.empty() && line[0] >= 'A' && line[0] <= 'Z' && colon != line.npos) {
      if (mappings.empty() || !ParseField(line.substr(0, colon), line.substr(colon + 1), mappings.back())) return Malformed();
    } else if (!ParseHead(line, mappings.emplace_back())) {
      return Malformed();
    }
  }
  // The last line of each. Without it we would take for plain memory what is not.
  for (const Mapping& mapping : mappings) {
    if (mapping.flags.empty()) return Malformed();
  }
  return mappings;
}

absl::StatusOr<std::string_view> ReadSmaps(char* buffer, size_t size) {
  const UniqueFd file(open(kPath, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "open", kPath);
  size_t length = 0;
  while (true) {
    if (length == size) return absl::ResourceExhaustedError("the text of /proc/self/smaps is longer than there is memory for it");
    const ssize_t n = read(file.get(), buffer + length, size - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "read", kPath);
    if (n == 0) return std::string_view(buffer, length);
    length += static_cast<size_t>(n);
  }
}

absl::StatusOr<std::string> ReadSmaps() {
  std::string text(size_t{64} << 10, '\0');
  while (true) {
    const absl::StatusOr<std::string_view> read = ReadSmaps(text.data(), text.size());
    if (read.ok()) {
      text.resize(read->size());
      return text;
    }
    if (!absl::IsResourceExhausted(read.status())) return read.status();
    text.resize(text.size() * 2);
  }
}

}  // namespace brood::internal
