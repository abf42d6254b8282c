// Arguments: their size, their release, and a child that never reads them (gh-118981, test_lose_target_ref).
#include <set>
#include <string>
#include <vector>

#include "base/own_process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

size_t Length(const std::string& text) { return text.size(); }
BROOD_TARGET(Length);

void EndAtOnce(const std::string&) { EndOwnProcess(3); }
BROOD_TARGET(EndAtOnce);

size_t CountOpen(const std::vector<UniqueFd>& handles) {
  const std::set<int> all = OpenDescriptors();
  size_t open = 0;
  for (const UniqueFd& handle : handles) open += all.contains(handle.get()) ? 1 : 0;
  return open;
}
BROOD_TARGET(CountOpen);

using ArgumentsTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ArgumentsTest);

TEST_P(ArgumentsTest, FromNothingTo63MebibytesArriveWhole) {
  for (const size_t size : {size_t{0}, size_t{1} << 16, size_t{1} << 20, size_t{63} << 20}) {
    EXPECT_EQ(context_.Call(Length, std::string(size, 'x')).value_or(1), size);
  }
}

TEST_P(ArgumentsTest, MoreThanTheBoundIsTheCallersErrorAndStartsNothing) {
  const absl::StatusOr<Process> process = context_.Start(Length, std::string(size_t{65} << 20, 'x'));
  EXPECT_EQ(process.status().code(), absl::StatusCode::kInvalidArgument) << process.status();
}

// gh-118981: CPython wrote them into a pipe that nobody read. A program that ends at once stands for such a
// child; a fork has its arguments already.
TEST_P(ArgumentsTest, AChildThatNeverReadsThemDoesNotHangTheStart) {
  const Context context(GetParam(), {.executable = ProgramThatEndsAtOnce()});
  const std::string megabytes(16 << 20, 'x');
  if (IsFork()) {
    Process process = context.Start(EndAtOnce, megabytes).value();
    EXPECT_EQ(process.Join(absl::Milliseconds(kPatienceMs))->exit_code(), 3);
  } else {
    const absl::StatusOr<Process> process = context.StartByName({}, "EndAtOnce", {Pack(megabytes)});
    EXPECT_FALSE(process.ok());
  }
}

TEST_P(ArgumentsTest, ThreeHundredDescriptorsArrive) {
  RawPipe pipe;
  std::vector<UniqueFd> handles(300);
  for (UniqueFd& handle : handles) handle = Duplicate(pipe.reader.get());
  EXPECT_EQ(context_.Call(CountOpen, std::move(handles)).value_or(0), 300u);
}

// The caller's duplicate of a descriptor in an argument is closed once the child runs, not when the object goes.
TEST_P(ArgumentsTest, AreReleasedWhenTheChildRuns) {
  RawPipe pipe;
  Process process = context_.Create(WaitForEnd, pipe.reader).value();
  ASSERT_EQ(process.Start(), absl::OkStatus());
  pipe.reader.reset();
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  EXPECT_TRUE(NobodyReads(pipe.writer));
}

}  // namespace
}  // namespace brood
