// Several numbers in shared memory that change together, by one store: the next version is written beside the current
// one, and then made the current one. A process that dies before that has changed nothing. Inside a Monitor only.
#ifndef BROOD_IPC_VERSIONED_H_
#define BROOD_IPC_VERSIONED_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace brood::internal {

template <typename State>
class Versioned {
  static_assert(std::is_trivially_copyable_v<State> && sizeof(State) % sizeof(uint64_t) == 0);
  using Words = std::array<uint64_t, sizeof(State) / sizeof(uint64_t)>;

 public:
  // A copy, that another process cannot change while it is checked.
  State Read() const {
    Words words;
    const auto& from = versions_[current_.load(std::memory_order_acquire) & 1];
    for (size_t i = 0; i < words.size(); ++i) words[i] = from[i].load(std::memory_order_relaxed);
    return std::bit_cast<State>(words);
  }

  void Commit(const State& state) {
    const auto words = std::bit_cast<Words>(state);
    const uint32_t next = 1 - (current_.load(std::memory_order_relaxed) & 1);
    for (size_t i = 0; i < words.size(); ++i) versions_[next][i].store(words[i], std::memory_order_relaxed);
    current_.store(next, std::memory_order_release);
  }

 private:
  std::atomic<uint32_t> current_;
  std::array<std::atomic<uint64_t>, sizeof(State) / sizeof(uint64_t)> versions_[2];
};

}  // namespace brood::internal

#endif  // BROOD_IPC_VERSIONED_H_
