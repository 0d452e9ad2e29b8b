import { Monitor, Moon, Sun } from "lucide";
import { theme } from "../theme";
import { MenuChoice, MenuGroup } from "./menu";

const CHOICES = [
  { value: "system", label: "Like the system", icon: Monitor },
  { value: "light", label: "Light", icon: Sun },
  { value: "dark", label: "Dark", icon: Moon },
] as const;

export function ThemeMenuGroup() {
  return (
    <MenuGroup label="Appearance">
      {CHOICES.map(({ value, label, icon }) => (
        <MenuChoice key={value} icon={icon} checked={theme.value === value} onSelect={() => (theme.value = value)}>
          {label}
        </MenuChoice>
      ))}
    </MenuGroup>
  );
}
