#include "tests/conformance/conformance.h"

#include <string>

#include "absl/time/time.h"
#include "bootstrap/target.h"
#include "launcher/children.h"

namespace brood {

int Identity(int value) { return value; }
BROOD_TARGET(Identity);

void Nothing() {}
BROOD_TARGET(Nothing);

// What they do each system does in its way: conformance_linux.cc, conformance_windows.cc.
BROOD_TARGET(Sleep);
BROOD_TARGET(WaitForEnd);
BROOD_TARGET(WriteByte);

void ConformanceTest::SetUp() {
  // What a process keeps once it has started and joined a child with this method is no leak of a test.
  Process first = context_.Start(Nothing).value();
  ASSERT_TRUE(first.Join(absl::Milliseconds(kPatienceMs)).value().ok());
  (void)first.sentinel();
  descriptors_ = OpenDescriptors();
  children_ = ChildrenOfThisProcess();
}

// As tearDownClass of CPython's suite: no process and no descriptor is left.
void ConformanceTest::TearDown() {
  Release();
  EXPECT_TRUE(ActiveChildren().empty());
  EXPECT_EQ(ChildrenOfThisProcess(), children_);
  EXPECT_EQ(OpenDescriptors(), descriptors_);
}

Process ConformanceTest::StartWaiting(LaunchOptions options) {
  RawPipe pipe;
  held_ = std::move(pipe.writer);
  return context_.Start(options, WaitForEnd, pipe.reader).value();
}

}  // namespace brood
