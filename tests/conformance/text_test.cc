// What a process object says of itself (repr of BaseProcess), and its name.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/own_process.h"
#include "bootstrap/current_process.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

std::string OwnName() { return CurrentProcess().name; }
BROOD_TARGET(OwnName);

std::string OwnNameAtTheEnd(const UniqueFd& pipe) {
  WaitForEnd(pipe);
  return CurrentProcess().name;
}
BROOD_TARGET(OwnNameAtTheEnd);

using TextTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(TextTest);

TEST_P(TextTest, AProcessSaysWhoseItIsAndHowFar) {
  const std::string parent = absl::StrCat(" parent=", OwnProcessNumber());
  Process process = context_.Create({.name = "o'hara\n", .daemon = true}, Sleep).value();
  EXPECT_EQ(process.ToString(), absl::StrCat("<Process name='o\\'hara\\n'", parent, " initial daemon>"));
  ASSERT_EQ(process.Start(), absl::OkStatus());
  const std::string start = absl::StrCat("<Process name='o\\'hara\\n' pid=", process.pid(), parent);
  EXPECT_EQ(process.ToString(), absl::StrCat(start, " started daemon>"));
  ASSERT_EQ(process.Kill(), absl::OkStatus());
  ASSERT_TRUE(process.Join().ok());
  EXPECT_EQ(process.ToString(), absl::StrCat(start, " stopped exitcode=-SIGKILL daemon>"));
  ASSERT_EQ(process.Close(), absl::OkStatus());
  EXPECT_EQ(process.ToString(), absl::StrCat("<Process name='o\\'hara\\n'", parent, " closed daemon>"));
}

TEST_P(TextTest, AnEndedProcessSaysItsCode) {
  Process process = context_.Start({.name = "n"}, Nothing).value();
  ASSERT_TRUE(process.Join().ok());
  EXPECT_TRUE(process.ToString().ends_with(" stopped exitcode=0>")) << process.ToString();
}

TEST_P(TextTest, ANameChangesAtAnyTimeAndAfterTheStartForTheParentOnly) {
  Process early = context_.Create(OwnName).value();
  early.set_name("early");
  ASSERT_EQ(early.Start(), absl::OkStatus());
  EXPECT_EQ(early.Result<std::string>().value(), "early");

  RawPipe pipe;
  Process late = context_.Start({.name = "first"}, OwnNameAtTheEnd, pipe.reader).value();
  late.set_name("late");
  EXPECT_EQ(late.name(), "late");
  pipe.writer.reset();
  EXPECT_EQ(late.Result<std::string>().value(), "first");
}

TEST_P(TextTest, AnEmptyNameCountsAsNone) {
  const std::string name = context_.Call({.name = ""}, OwnName).value();
  EXPECT_NE(name.find("Process-"), std::string::npos) << name;
}

}  // namespace
}  // namespace brood
