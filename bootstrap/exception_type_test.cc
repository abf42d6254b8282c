#include "bootstrap/exception_type.h"

#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace brood::internal {
namespace {

template <typename T>
std::string TypeOf(const T& thrown) {
  try {
    throw thrown;
  } catch (...) {
    return CurrentExceptionType();
  }
}

struct Own : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Names are the compiler's; what they name is the same.
TEST(ExceptionTypeTest, NamesWhatWasThrownAndNotItsBase) {
  EXPECT_NE(TypeOf(Own("")).find("Own"), std::string::npos) << TypeOf(Own(""));
  EXPECT_NE(TypeOf(std::out_of_range("")).find("out_of_range"), std::string::npos);
  EXPECT_EQ(TypeOf(7), "int");
  EXPECT_NE(TypeOf(absl::NotFoundError("")).find("Status"), std::string::npos);
}

TEST(ExceptionTypeTest, LeavesTheExceptionAsItWas) {
  try {
    throw Own("text");
  } catch (const std::exception& exception) {
    (void)CurrentExceptionType();
    EXPECT_STREQ(exception.what(), "text");
  }
}

}  // namespace
}  // namespace brood::internal
