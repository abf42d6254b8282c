// Random engines in forked children: each child has a copy of its parent's, and so would draw the same numbers.
//
//   std::mt19937 g_engine;
//   absl::BitGen g_bits;
//   void Load() { brood::ReseedAfterFork(g_engine); brood::ReseedAfterFork(g_bits); }   // A preload, or the program.
//
// What brood gives new seeds to by itself: rand(3) and random(3); and OpenSSL, where that cannot see the fork, because the
// child has in its pid namespace the number that its parent has. What needs none: what asks the kernel each time, as
// std::random_device, arc4random(3) of glibc, and FillRandom. What brood cannot know is any other engine: one of the C++
// library, an absl::BitGen. An absl::BitGen that a child makes itself takes its seed from a pool of Abseil's, which the child
// has a copy of, too, if anybody has made one before the fork: give it a KernelSeed.
#ifndef BROOD_BOOTSTRAP_RESEED_H_
#define BROOD_BOOTSTRAP_RESEED_H_

#include <array>
#include <cstdint>
#include <random>

#include "bootstrap/after_fork.h"

namespace brood {

// As std::random_device, a seed for an engine of the C++ library or of Abseil, which takes it by reference:
//
//   KernelSeed seed;
//   absl::BitGen bits(seed);
class KernelSeed : public std::seed_seq {
 public:
  KernelSeed() : KernelSeed(Draw()) {}
  using std::seed_seq::seed_seq;  // Abseil makes another one of it.

 private:
  using Words = std::array<uint32_t, 64>;
  explicit KernelSeed(const Words& words) : std::seed_seq(words.begin(), words.end()) {}

  // Where getrandom(2) is forbidden: of the time and the process, which differ from child to child.
  static Words Draw();
};

// Registers a hook (after_fork.h) that gives `engine` a new seed in each forked child, before its target. `engine` must live
// as long as the process.
template <typename Engine>
void ReseedAfterFork(Engine& engine) {
  AfterFork(
      [](void* mine) {
        KernelSeed seed;
        *static_cast<Engine*>(mine) = Engine(seed);
      },
      &engine);
}

namespace internal {

// In a parent, before its forks: looks for the generators of others that it has loaded.
void FindGenerators();

// In a forked child: of these, those that cannot see the fork by themselves get a new seed.
void ReseedGenerators();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_RESEED_H_
