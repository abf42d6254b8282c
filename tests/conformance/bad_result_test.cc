// A child that writes garbage where its result would be: a descriptor, which only POSIX systems count.
#include <unistd.h>

#include <string>

#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// Writes over the descriptor in which its result would be, then ends as if all were well.
void WriteGarbage(const std::string& garbage) {
  (void)!write(internal::kResultFd, garbage.data(), garbage.size());
  _exit(0);
}
BROOD_TARGET(WriteGarbage);

using BadInputTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(BadInputTest);

TEST_P(BadInputTest, GarbageInPlaceOfAResultIsAnError) {
  for (const std::string& garbage : {std::string("x"), std::string(100, '\xff'), std::string(100'000, '\0')}) {
    Process process = context_.Start(WriteGarbage, garbage).value();
    EXPECT_EQ(process.Result<int>().status().code(), absl::StatusCode::kDataLoss) << process.Result<int>().status();
    EXPECT_EQ(process.exit_code(), 0);
  }
}

}  // namespace
}  // namespace brood
