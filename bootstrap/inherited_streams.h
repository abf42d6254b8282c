// What a parent has buffered in its standard streams, and will print itself.
#ifndef BROOD_BOOTSTRAP_INHERITED_STREAMS_H_
#define BROOD_BOOTSTRAP_INHERITED_STREAMS_H_

namespace brood::internal {

// In a forked child: forgets it. Does not write to a stream that holds nothing, whose page would have to be copied.
void ForgetInheritedText();

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_INHERITED_STREAMS_H_
