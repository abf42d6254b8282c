// What a caller, a child or a peer does wrong is a clear status; nothing hangs, and nothing is left (the fixture).
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ipc/pipe.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// What can be packed, and not be read again.
struct Spoiled {
  bool throws = false;
};

}  // namespace

template <>
struct Codec<Spoiled> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) { to.Word("spoiled"); }
  static void Encode(const Spoiled& value, WireWriter& to) { Codec<bool>::Encode(value.throws, to); }
  static bool Decode(WireReader& from, Spoiled& value) {
    if (!Codec<bool>::Decode(from, value.throws)) return false;
    if (value.throws) throw std::length_error("too long to read");
    return from.Fail("is spoiled");
  }
};

namespace {

void Unregistered() {}

void Twin() {}
void OtherTwin() {}
BROOD_TARGET_AS("conformance.twin", Twin);
BROOD_TARGET_AS("conformance.twin", OtherTwin);

void Take(const Spoiled&) {}
BROOD_TARGET(Take);

std::string Repeat(char c, size_t count) { return std::string(count, c); }
BROOD_TARGET(Repeat);

using BadInputTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(BadInputTest);

LaunchOptions Quiet() {
  LaunchOptions options;
  options.stderr_spec = Stdio::Null();
  return options;
}

TEST_P(BadInputTest, ATargetThatIsNotRegisteredIsNotFound) {
  EXPECT_EQ(context_.Start(Unregistered).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(context_.StartByName({}, "no.such", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(BadInputTest, ATargetThatIsRegisteredTwiceIsFailedPrecondition) {
  EXPECT_EQ(context_.Start(Twin).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(context_.StartByName({}, "conformance.twin", {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(BadInputTest, WrongTypesAndNumbersOfArgumentsAreNamed) {
  const absl::Status type = context_.StartByName(Quiet(), "Identity", {Pack(std::string("seven"))}).status();
  EXPECT_NE(type.message().find("argument 1: expected int32, got string"), std::string::npos) << type;
  for (const std::vector<TypedValue>& arguments :
       {std::vector<TypedValue>(), std::vector<TypedValue>{Pack(1), Pack(2)}}) {
    const absl::Status count = context_.StartByName(Quiet(), "Identity", arguments).status();
    EXPECT_FALSE(count.ok());
    EXPECT_NE(count.message().find("Identity"), std::string::npos) << count;
  }
}

TEST_P(BadInputTest, AnArgumentThatCannotBeReadFailsTheStartWithItsReason) {
  for (const auto& [spoiled, reason] : {std::pair(Spoiled{.throws = false}, "is spoiled"),
                                        std::pair(Spoiled{.throws = true}, "std::length_error: too long to read")}) {
    const absl::Status status = context_.Start(Quiet(), Take, spoiled).status();
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.message().find(reason), std::string::npos) << status;
  }
}

TEST_P(BadInputTest, AResultThatIsTooLargeIsResourceExhausted) {
  const Context narrow(GetParam(), {.max_result_bytes = 1000});
  EXPECT_EQ(narrow.Call(Quiet(), Repeat, 'x', size_t{2000}).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace brood
