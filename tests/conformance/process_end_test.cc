// The end of a process that has children which nobody has joined.
#include <memory>
#include <string>

#include "bootstrap/finalizer.h"
#include "launcher/context.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

// Runs until it is ended.
void SayAndStay(const UniqueFd& pipe, const UniqueFd& /*held*/) {
  WriteByte(pipe, 'r');
  Sleep();
}
BROOD_TARGET(SayAndStay);

void SayAtTheEndOf(const UniqueFd& pipe, const UniqueFd& other) {
  WaitForEnd(other);
  WriteByte(pipe, 'c');
}
BROOD_TARGET(SayAtTheEndOf);

// The order in which all end is written to `pipe`. The child that is no daemon ends after the daemon only.
void LeaveChildrenBehind(int method, const UniqueFd& pipe, const UniqueFd& may_end) {
  const Context context(static_cast<StartMethod>(method));
  const auto number = std::make_shared<UniqueFd>(Duplicate(pipe.get()));
  AddFinalizer([number] { WriteByte(*number, 'b'); }, {.priority = 1});
  AddFinalizer([number] { WriteByte(*number, 'e'); }, {.priority = -1});
  RawPipe held;
  new Process(context.Start({.daemon = true}, SayAndStay, pipe, held.writer).value());
  new Process(context.Start(SayAtTheEndOf, pipe, held.reader).value());
  WaitForEnd(may_end);
}
BROOD_TARGET(LeaveChildrenBehind);

using ProcessEndTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(ProcessEndTest);

TEST_P(ProcessEndTest, FinalizersRunThenDaemonsAreEndedAndOthersJoined) {
  RawPipe pipe, may_end;
  Process process = context_.Start(LeaveChildrenBehind, method(), pipe.writer, may_end.reader).value();
  pipe.writer.reset();
  EXPECT_EQ(ReadByte(pipe.reader), 'r');  // The daemon runs.
  may_end.writer.reset();
  EXPECT_EQ(ReadToEnd(pipe.reader.get()), "bce");
  EXPECT_EQ(process.Result<void>(), absl::OkStatus());
}

}  // namespace
}  // namespace brood
