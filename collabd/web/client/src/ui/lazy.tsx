import type { ComponentChild, ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A component that is fetched when it is first shown; until then `waiting` is. */
export function lazy<Props extends object>(
  load: () => Promise<{ default: ComponentType<Props> }>,
  waiting: ComponentChild = <div class="sheet waiting" aria-busy="true" />,
) {
  let loaded: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [, redraw] = useState(false);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (loaded) return;
      let gone = false;
      load().then(
        (module) => {
          loaded = module.default;
          if (!gone) redraw(true);
        },
        () => gone || setFailed(true),
      );
      return () => {
        gone = true;
      };
    }, []);
    if (failed) return <p class="notice">This part of the page could not be fetched. Reload it when you are online.</p>;
    if (!loaded) return waiting;
    const Component = loaded;
    return <Component {...props} />;
  };
}
