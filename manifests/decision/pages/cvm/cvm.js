// The page /ui/cvm: four views, each in a file of its own, over the routes /api/v1/cvm.
import { header, tabs } from "/ui/shared/ui.js";
import { allocationsView } from "./allocations.js";
import { customersView } from "./customers.js";
import { treatmentsView } from "./treatments.js";
import { triggersView } from "./triggers.js";

header("Decisions");

const customers = customersView();
const views = tabs([
  { id: "customers", title: "Customers", content: customers.node },
  { id: "triggers", title: "Triggers", content: () => triggersView(showCustomer) },
  { id: "treatments", title: "Treatments", content: treatmentsView },
  { id: "allocations", title: "Allocations", content: () => allocations.node },
], {
  onselect(view) {
    if (view === "allocations")
      allocations.load(); // counts move with every decision
  },
});
const allocations = allocationsView();
document.getElementById("views").append(views);

// #U124 opens a customer, so that a link can be given to somebody.
function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (!id)
    return;
  views.select("customers");
  customers.open(id);
}

function showCustomer(id) {
  if (location.hash === `#${encodeURIComponent(id)}`)
    follow();
  else
    location.hash = encodeURIComponent(id);
}

addEventListener("hashchange", follow);
await customers.load();
follow();
