#include <cerrno>

#include "base/status.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(ErrnoTest, NamesThatOnlyLinuxHasFindTheirNumbersAgain) {
  for (int number : {EHWPOISON, ENOKEY, EUCLEAN}) EXPECT_EQ(ErrnoFromName(ErrnoName(number)), number);
}

TEST(ErrnoTest, SystemErrorsAreErrnoValues) {
  EXPECT_EQ(SystemErrorText(ENOENT), ErrnoText(ENOENT));
  EXPECT_EQ(SystemErrorFromName(SystemErrorName(EUCLEAN)), EUCLEAN);
}

}  // namespace
}  // namespace brood
