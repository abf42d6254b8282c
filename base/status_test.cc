#include "base/status.h"

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(StatusTest, ErrnoStatusNamesOperationObjectReasonAndRemedy) {
  const absl::Status status = ErrnoStatus(ENOENT, "open", "/nowhere", "create it");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "open /nowhere: ENOENT (No such file or directory); create it");
}

TEST(StatusTest, WhoHasTooManyDescriptorsIsToldWhichLimitUnlessTheRemedyIsKnown) {
  EXPECT_EQ(ErrnoStatus(EMFILE, "pipe").message(), absl::StrCat("pipe: ", ErrnoText(EMFILE), "; raise the limit of open files (ulimit -n)"));
  EXPECT_EQ(ErrnoStatus(EMFILE, "pipe", "", "close some").message(), absl::StrCat("pipe: ", ErrnoText(EMFILE), "; close some"));
}

TEST(StatusTest, ErrnoNamesFindTheirNumbersAgain) {
  for (int number : {EPERM, EACCES, ENOSYS, ETIMEDOUT, ENOTSUP}) EXPECT_EQ(ErrnoFromName(ErrnoName(number)), number);
}

TEST(StatusTest, UnknownErrnoNameIsZeroAndUnknownNumberKeepsItsValue) {
  EXPECT_EQ(ErrnoFromName("EBOGUS"), 0);
  EXPECT_EQ(ErrnoText(4242), "errno 4242");
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  BROOD_ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(StatusTest, AssignOrReturnPassesValuesAndErrorsOn) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(7).status().message(), "odd");
}

}  // namespace
}  // namespace brood
