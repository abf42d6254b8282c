// What a child must know is applied before its arguments are made from what was sent (spawn.prepare): they may depend on it.
#include <filesystem>
#include <string>
#include <vector>

#include "bootstrap/current_process.h"
#include "bootstrap/log.h"
#include "ipc/auth_key.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// What the process is like in which it is decoded.
struct Witness {
  std::string name;
  std::string parent;
  std::string folder;
  std::string key;
  int log_level = 0;
};

}  // namespace

template <>
struct Codec<Witness> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { to.Word("witness"); }
  static void Encode(const Witness&, WireWriter& to) { Codec<bool>::Encode(true, to); }
  static bool Decode(WireReader& from, Witness& value) {
    bool unused = false;
    if (!Codec<bool>::Decode(from, unused)) return false;
    value.name = CurrentProcess().name;
    value.parent = ParentProcess() == nullptr ? "none" : ParentProcess()->name();
    value.folder = std::filesystem::current_path().string();
    value.key = CurrentAuthKey().value().secret_bytes();
    value.log_level = static_cast<int>(CurrentLogLevel());
    return true;
  }
};

namespace {

std::vector<std::string> WhatItSaw(const Witness& witness) {
  return {witness.name, witness.parent, witness.folder, witness.key, std::to_string(witness.log_level)};
}
BROOD_TARGET(WhatItSaw);

class PreparationTest : public ConformanceTest {
 protected:
  // A log level of its own is a forkserver of its own, which stays.
  void SetUp() override {
    ASSERT_EQ(logging_.Call(Nothing), absl::OkStatus());
    ConformanceTest::SetUp();
  }
  const Context logging_{GetParam(), {.log_level = static_cast<int>(LogLevel::kError)}};
};
BROOD_FOR_EACH_START_METHOD(PreparationTest);

TEST_P(PreparationTest, IsAppliedBeforeTheArgumentsAreMade) {
  const std::string key(CurrentAuthKey().value().secret_bytes());
  const TemporaryFolder folder;
  std::vector<std::string> seen = logging_.Call({.cwd = folder.path(), .name = "worker"}, WhatItSaw, Witness()).value();
  EXPECT_TRUE(std::filesystem::equivalent(seen[2], folder.path())) << seen[2];
  seen.erase(seen.begin() + 2);
  EXPECT_EQ(seen, (std::vector<std::string>{"worker", "MainProcess", key, std::to_string(static_cast<int>(LogLevel::kError))}));
}

}  // namespace
}  // namespace brood
