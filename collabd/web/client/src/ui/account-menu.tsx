import { CircleUserRound, LogIn, LogOut, MonitorSmartphone } from "lucide";
import { useState } from "preact/hooks";
import { account } from "../account";
import { signInAddress, signOut } from "../sign-in";
import { Icon } from "./icon";
import { Menu, MenuGroup, MenuItem } from "./menu";
import { SessionsDialog } from "./sessions-dialog";
import { Toast, type Message } from "./toast";

const isOpenToAll = (): boolean => account.value.providers.length === 0;

/** Where to sign in, for those who are not; nothing for others, or where nobody can. */
export function SignInLinks({ primary = false }: { primary?: boolean }) {
  const { signedIn, providers } = account.value;
  if (signedIn) return null;
  return (
    <>
      {providers.map(({ name, label }) => (
        <a key={name} class={primary ? "button primary" : "button"} href={signInAddress(name)}>
          <Icon of={LogIn} size={17} />
          {providers.length > 1 ? `Sign in with ${label}` : "Sign in"}
        </a>
      ))}
    </>
  );
}

function SignIn() {
  const { providers } = account.value;
  if (providers.length > 1) {
    return (
      <Menu label="Sign in" icon={LogIn} face="Sign in">
        <MenuGroup label="Sign in with">
          {providers.map(({ name, label }) => (
            <MenuItem key={name} onSelect={() => location.assign(signInAddress(name))}>
              {label}
            </MenuItem>
          ))}
        </MenuGroup>
      </Menu>
    );
  }
  const { name, label } = providers[0]!;
  return (
    <a
      class="icon-button with-words"
      href={signInAddress(name)}
      aria-label="Sign in"
      title={`Sign in with ${label}`}
    >
      <Icon of={LogIn} size={20} />
      <span class="words">Sign in</span>
    </a>
  );
}

/** Who is signed in, and what there is to do about it; nothing where nobody can sign in. */
export function AccountMenu() {
  const [listing, setListing] = useState(false);
  const [toast, setToast] = useState<Message | null>(null);
  const { signedIn, name } = account.value;
  if (!signedIn) return isOpenToAll() ? null : <SignIn />;
  const leave = () => {
    signOut().catch((error: Error) => setToast({ text: error.message }));
  };
  return (
    <>
      <Menu label={`Signed in as ${name}`} icon={CircleUserRound} face={name}>
        <MenuGroup label={`Signed in as ${name}`}>
          <MenuItem icon={MonitorSmartphone} onSelect={() => setListing(true)}>
            Your sessions…
          </MenuItem>
          <MenuItem icon={LogOut} onSelect={leave}>
            Sign out
          </MenuItem>
        </MenuGroup>
      </Menu>
      {listing && <SessionsDialog onClose={() => setListing(false)} />}
      <Toast message={toast} onGone={() => setToast(null)} />
    </>
  );
}
