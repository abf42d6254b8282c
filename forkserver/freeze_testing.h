// What the tests of freezing share: something of everything that a process has in memory.
#ifndef BROOD_FORKSERVER_FREEZE_TESTING_H_
#define BROOD_FORKSERVER_FREEZE_TESTING_H_

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "forkserver/freeze.h"
#include "gtest/gtest.h"

namespace brood {

inline constexpr size_t kMiB = size_t{1} << 20;

inline uint64_t g_data[100'000] = {1, 2, 3};  // .data
inline uint64_t g_bss[100'000];               // .bss
// Data that nobody has looked at: without a page until then.
struct Untouched {
  constexpr Untouched() {
    for (uint64_t i = 0; i < std::size(values); ++i) values[i] = i + 1;
  }
  bool IsRight() const {
    for (uint64_t i = 0; i < std::size(values); ++i) {
      if (values[i] != i + 1) return false;
    }
    return true;
  }
  uint64_t values[50'000] = {};
};
inline constinit Untouched g_untouched;
inline thread_local uint64_t t_local[1000] = {4, 5};
using Function = int (*)();
inline int Seven() { return 7; }
inline const Function volatile g_relocated[] = {Seven};  // .data.rel.ro

inline uint64_t Mix(uint64_t sum, uint64_t value) { return (sum ^ value) * 0x9e3779b97f4a7c15 + (sum >> 29); }

inline uint64_t Sum(const void* data, size_t size) {
  uint64_t sum = 0;
  for (size_t i = 0; i + 8 <= size; i += 8) {
    uint64_t value;
    memcpy(&value, static_cast<const char*>(data) + i, sizeof(value));
    sum = Mix(sum, value);
  }
  return sum;
}

inline void Fill(void* data, size_t size, uint64_t seed) {
  for (size_t i = 0; i + 8 <= size; i += 8) {
    seed = Mix(seed, i);
    memcpy(static_cast<char*>(data) + i, &seed, sizeof(seed));
  }
}

// Something of everything that a process has.
class Content {
 public:
  explicit Content(uint64_t seed) {
    for (int i = 0; i < 50'000; ++i) strings_.push_back(absl::StrCat("a string that has a place of its own ", seed, " ", i));
    for (size_t i = 0; i < strings_.size(); i += 3) strings_[i] = std::string();
    blocks_.resize(20);
    for (std::vector<char>& block : blocks_) {
      block.resize(kMiB);
      Fill(block.data(), block.size(), ++seed);
    }
    mapped_ = mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Fill(mapped_, kMapped / 2, ++seed);  // The other half has no pages.
    mprotect(static_cast<char*>(mapped_) + 4 * kMiB, kMiB, PROT_READ);
    Fill(g_data, sizeof(g_data), ++seed);
    Fill(g_bss, sizeof(g_bss), ++seed);
    Fill(t_local, sizeof(t_local), ++seed);
  }

  uint64_t Checksum() const {
    uint64_t sum = 0;
    for (const std::string& text : strings_) sum = Mix(sum, Mix(text.size(), Sum(text.data(), text.size())));
    for (const std::vector<char>& block : blocks_) sum = Mix(sum, Sum(block.data(), block.size()));
    sum = Mix(sum, Sum(mapped_, kMapped));
    sum = Mix(sum, Sum(g_data, sizeof(g_data)));
    sum = Mix(sum, Sum(g_bss, sizeof(g_bss)));
    sum = Mix(sum, Sum(t_local, sizeof(t_local)));
    return Mix(sum, static_cast<uint64_t>(g_relocated[0]()));
  }

  void Scribble() {
    for (std::string& text : strings_) text += "!";
    for (std::vector<char>& block : blocks_) Fill(block.data(), block.size(), 99);
    memset(mapped_, 0x55, 4 * kMiB);
    memset(static_cast<char*>(mapped_) + kMapped - kMiB, 0x55, kMiB);
    Fill(g_data, sizeof(g_data), 99);
    Fill(g_bss, sizeof(g_bss), 99);
    Fill(t_local, sizeof(t_local), 99);
  }

  char* mapped() const { return static_cast<char*>(mapped_); }
  static constexpr size_t kMapped = 16 * kMiB;

 private:
  std::vector<std::string> strings_;
  std::vector<std::vector<char>> blocks_;
  void* mapped_ = nullptr;
};

inline FreezeReport Freeze(const FreezeOptions& options = {}) {
  absl::StatusOr<FreezeReport> report = FreezeProcess(options);
  EXPECT_TRUE(report.ok()) << report.status();
  return report.ok() ? *std::move(report) : FreezeReport();
}

inline const FreezeReport::Left* LeftAt(const FreezeReport& report, const void* address) {
  for (const FreezeReport::Left& left : report.left) {
    const auto at = reinterpret_cast<uintptr_t>(address);
    if (left.start <= at && at < left.end) return &left;
  }
  return nullptr;
}

inline std::string ReasonAt(const FreezeReport& report, const void* address) {
  const FreezeReport::Left* const left = LeftAt(report, address);
  return left == nullptr ? "" : left->reason;
}

inline bool IsFrozenAt(const void* address) {
  const absl::StatusOr<FrozenTaint> taint = ReadFrozenTaint();
  EXPECT_TRUE(taint.ok()) << taint.status();
  const auto at = reinterpret_cast<uintptr_t>(address);
  return std::any_of(taint->mappings.begin(), taint->mappings.end(),
                     [&](const FrozenTaint::Mapping& one) { return one.start <= at && at < one.end; });
}

// What allocators do with memory that they take it to be plain.
inline bool Torture() {
  std::vector<std::string> strings;
  for (int i = 0; i < 100'000; ++i) strings.push_back(absl::StrCat("string ", i, std::string(static_cast<size_t>(i % 200), 'x')));
  for (size_t i = 0; i < strings.size(); i += 2) std::string().swap(strings[i]);
  malloc_trim(0);
  for (size_t i = 1; i < strings.size(); i += 2) {
    if (strings[i] != absl::StrCat("string ", i, std::string(i % 200, 'x'))) return false;
  }
  const auto is_zero = [](size_t bytes) {
    char* const zeros = static_cast<char*>(calloc(bytes, 1));
    bool all = zeros != nullptr;
    for (size_t i = 0; all && i < bytes; ++i) all = zeros[i] == 0;
    if (zeros != nullptr) memset(zeros, 0xff, bytes);
    free(zeros);
    return all;
  };
  if (!is_zero(64 * kMiB)) return false;
  for (const size_t bytes : {24u, 200u, 1500u, 9'000u, 100'000u, 130'000u, 1'000'000u}) {
    for (int i = 0; i < 50; ++i) {
      if (!is_zero(bytes)) return false;
    }
  }
  char* grown = static_cast<char*>(malloc(200 * 1024));
  memset(grown, 7, 200 * 1024);
  grown = static_cast<char*>(realloc(grown, 64 * kMiB));
  for (size_t i = 0; i < 200 * 1024; ++i) {
    if (grown[i] != 7) return false;
  }
  memset(grown, 8, 64 * kMiB);
  free(grown);
  malloc_trim(0);
  return true;
}

}  // namespace brood

#endif  // BROOD_FORKSERVER_FREEZE_TESTING_H_
